//! Buckets: S3 and what speaks its protocol, Google Cloud Storage, Azure Blob Storage.
//!
//! The URL names bucket and prefix; everything else (keys, region, endpoint) are the variables that the clouds' own
//! tools read, handed in by the caller.

use std::{collections::HashMap, str::FromStr, sync::Arc, time::Duration};

use anyhow::bail;
use object_store::{
    ClientOptions, ObjectStore, ObjectStoreScheme, RetryConfig, aws::AmazonS3Builder, azure::MicrosoftAzureBuilder,
    gcp::GoogleCloudStorageBuilder, memory::InMemory, prefix::PrefixStore,
};
use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

use crate::egress::use_ring;

/// How long a connection may take to stand.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// How long nothing may come. There is no limit for the whole: a viewer may take hours for a file.
const READ_LIMIT: Duration = Duration::from_mins(1);
/// Tries of a request, and how long they may take together; the steps above have retries of their own.
const RETRIES: usize = 3;
const RETRY_LIMIT: Duration = Duration::from_secs(30);

/// Opens the bucket of a URL.
pub(super) fn open(url: &Url, variables: &HashMap<String, SecretString>) -> anyhow::Result<Arc<dyn ObjectStore>> {
    // The client takes the process's TLS provider.
    use_ring();
    let (scheme, prefix) = ObjectStoreScheme::parse(url)?;
    let client = ClientOptions::new()
        .with_timeout_disabled()
        .with_connect_timeout(CONNECT_LIMIT)
        .with_read_timeout(READ_LIMIT)
        .with_allow_http(is_plain(variables));
    let retry = RetryConfig { max_retries: RETRIES, retry_timeout: RETRY_LIMIT, ..RetryConfig::default() };
    let name = url.as_str();
    let bucket: Arc<dyn ObjectStore> = match scheme {
        ObjectStoreScheme::AmazonS3 => {
            let builder = AmazonS3Builder::new().with_url(name).with_client_options(client).with_retry(retry);
            let set = settings(variables, "AWS_");
            Arc::new(set.fold(builder, |builder, (key, value)| builder.with_config(key, value)).build()?)
        }
        ObjectStoreScheme::GoogleCloudStorage => {
            let builder = GoogleCloudStorageBuilder::new().with_url(name).with_client_options(client).with_retry(retry);
            let set = settings(variables, "GOOGLE_");
            Arc::new(set.fold(builder, |builder, (key, value)| builder.with_config(key, value)).build()?)
        }
        ObjectStoreScheme::MicrosoftAzure => {
            let builder = MicrosoftAzureBuilder::new().with_url(name).with_client_options(client).with_retry(retry);
            let set = settings(variables, "AZURE_");
            Arc::new(set.fold(builder, |builder, (key, value)| builder.with_config(key, value)).build()?)
        }
        ObjectStoreScheme::Memory => Arc::new(InMemory::new()),
        _ => bail!("it is neither a folder nor a bucket (s3://, gs://, az://)"),
    };
    Ok(Arc::new(PrefixStore::new(bucket, prefix)))
}

/// Whether the endpoint that was named is not encrypted, as of a server in one's own network.
fn is_plain(variables: &HashMap<String, SecretString>) -> bool {
    let is_endpoint = |name: &str| name.contains("_ENDPOINT") || name.ends_with("_BASE_URL");
    variables.iter().any(|(name, value)| is_endpoint(name) && value.expose_secret().starts_with("http://"))
}

/// The variables of a cloud that its builder knows.
fn settings<K: FromStr>(variables: &HashMap<String, SecretString>, prefix: &str) -> impl Iterator<Item = (K, String)> {
    let of_cloud = variables.iter().filter(move |(name, _)| name.starts_with(prefix));
    of_cloud
        .filter_map(|(name, value)| Some((name.to_ascii_lowercase().parse().ok()?, value.expose_secret().to_owned())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened(url: &str, variables: &[(&str, &str)]) -> anyhow::Result<String> {
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).into())).collect();
        open(&url.parse()?, &variables).map(|store| store.to_string())
    }

    #[test]
    fn every_cloud_opens_by_its_own_variables() {
        let s3 = [("AWS_ACCESS_KEY_ID", "id"), ("AWS_SECRET_ACCESS_KEY", "key"), ("AWS_REGION", "eu-central-1")];
        assert_eq!(opened("s3://films/kept", &s3).unwrap(), "PrefixObjectStore(kept)");
        let azure = [("AZURE_STORAGE_ACCOUNT_NAME", "films"), ("AZURE_STORAGE_ACCOUNT_KEY", "a2V5")];
        assert_eq!(opened("az://films/kept", &azure).unwrap(), "PrefixObjectStore(kept)");
        let account = r#"{"gcs_base_url": "http://localhost:1", "disable_oauth": true, "client_email": "", "private_key": "", "private_key_id": ""}"#;
        assert_eq!(
            opened("gs://films/kept", &[("GOOGLE_SERVICE_ACCOUNT_KEY", account)]).unwrap(),
            "PrefixObjectStore(kept)"
        );
    }

    #[test]
    fn another_place_is_refused() {
        for url in ["ftp://films", "http://films.test/kept", "nonsense://films"] {
            assert!(opened(url, &[]).is_err(), "{url}");
        }
    }

    #[test]
    fn a_plain_endpoint_counts_as_agreed() {
        let plain = |name: &str, value: &str| is_plain(&HashMap::from([(name.to_owned(), value.into())]));
        assert!(plain("AWS_ENDPOINT_URL", "http://minio:9000") && plain("AZURE_STORAGE_ENDPOINT", "http://azurite"));
        assert!(!plain("AWS_ENDPOINT_URL", "https://minio:9000") && !plain("HTTP_PROXY", "http://proxy"));
    }
}
