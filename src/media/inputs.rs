//! Input files of a request: read for upstreams that want bytes, or made reachable for those that want a URL.

use std::{io::Cursor, sync::Arc, time::Duration};

use base64::{
    Engine as _,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use bytes::{Bytes, BytesMut};
use reqwest::{Method, Response, StatusCode};
use url::Url;

use super::{
    probe,
    store::{Expected, KeepError, Store},
    types::{self, MAX_INPUT_BYTES},
};
use crate::{
    domain::{Fault, Verdict, fault::Kind},
    egress::Egress,
};

/// How long a whole download may take.
const FETCH_LIMIT: Duration = Duration::from_mins(2);

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// An input file, read whole.
#[derive(Clone, Debug)]
pub struct InputFile {
    /// Its bytes.
    pub bytes: Bytes,
    /// Its content type, read from the bytes.
    pub content_type: String,
}

impl InputFile {
    /// The bytes in base64.
    pub fn base64(&self) -> String {
        BASE64.encode(&self.bytes)
    }

    /// The file as a `data:` URL.
    pub fn data_url(&self) -> String {
        format!("data:{};base64,{}", self.content_type, self.base64())
    }
}

/// Reads input files and makes them reachable.
pub struct Inputs {
    store: Arc<Store>,
    egress: Egress,
}

impl Inputs {
    /// Inputs from our store, and from the addresses that the guard lets through.
    pub const fn new(store: Arc<Store>, egress: Egress) -> Self {
        Self { store, egress }
    }

    /// The bytes behind an input URL.
    pub async fn read(&self, url: &str) -> Result<InputFile, Fault> {
        let bytes = match Source::of(url, &self.store)? {
            Source::Data(bytes) => bytes,
            Source::Ours(path) => {
                let kept = self.store.read_whole(&path, MAX_INPUT_BYTES).await;
                kept.map_err(store_is_down)?.ok_or_else(|| invalid("no such file in the media store"))?
            }
            Source::Elsewhere(url) => self.fetch(url).await?,
        };
        let content = bytes.clone();
        let found = tokio::task::spawn_blocking(move || probe::probe(Cursor::new(&content))).await.ok().flatten();
        let found = found.filter(|probe| types::is_input(probe.content_type));
        let found = found.ok_or_else(|| invalid("the input is no picture, video or sound of a known type"))?;
        Ok(InputFile { bytes, content_type: found.content_type.to_owned() })
    }

    /// An address of the input that an upstream can fetch; `local` when the upstream runs on this machine.
    pub async fn reachable(&self, url: &str, local: bool) -> Result<String, Fault> {
        let path = match Source::of(url, &self.store)? {
            Source::Elsewhere(url) => {
                self.egress.check(&url).map_err(|refused| invalid(refused.to_string()))?;
                return Ok(url.into());
            }
            _ if !local && !self.store.links().is_public() => return Err(no_address()),
            Source::Ours(path) => path,
            Source::Data(bytes) => self.store.keep_bytes(bytes, Expected::Input).await.map_err(not_kept)?.path,
        };
        self.store.links().url(&path).map(Into::into).ok_or_else(no_address)
    }

    async fn fetch(&self, url: Url) -> Result<Bytes, Fault> {
        let request = self.egress.request(Method::GET, url).map_err(|refused| invalid(refused.to_string()))?;
        let mut response = request.timeout(FETCH_LIMIT).send().await.map_err(|error| unreached(&error))?;
        check_answer(&response)?;
        let mut bytes = BytesMut::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| unreached(&error))? {
            if (bytes.len() + chunk.len()) as u64 > MAX_INPUT_BYTES {
                return Err(too_large());
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes.freeze())
    }
}

/// Where an input's bytes are.
enum Source {
    Data(Bytes),
    Ours(String),
    Elsewhere(Url),
}

impl Source {
    fn of(url: &str, store: &Store) -> Result<Self, Fault> {
        // A data URI may be many megabytes: the URL parser would copy them.
        if url.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("data:")) {
            return decode(&url[5..]).map(Self::Data);
        }
        let url = Url::parse(url).map_err(|error| invalid(format!("not a URL: {error}")))?;
        Ok(store.links().path_of(&url).map_or(Self::Elsewhere(url), Self::Ours))
    }
}

/// The bytes of a data URI, without its `data:`.
fn decode(uri: &str) -> Result<Bytes, Fault> {
    let (head, text) = uri.split_once(',').ok_or_else(|| invalid("a data URI without a comma"))?;
    if !head.trim_end().to_ascii_lowercase().ends_with(";base64") {
        return Err(invalid("a data URI that is not in base64"));
    }
    if text.len() as u64 / 4 * 3 > MAX_INPUT_BYTES {
        return Err(too_large());
    }
    BASE64.decode(text.trim()).map(Into::into).map_err(|error| invalid(format!("a data URI with bad base64: {error}")))
}

fn check_answer(response: &Response) -> Result<(), Fault> {
    let status = response.status();
    if response.content_length().is_some_and(|length| length > MAX_INPUT_BYTES) {
        return Err(too_large());
    }
    let said = format!("the input's host answered HTTP {}", status.as_u16());
    match status {
        StatusCode::OK => Ok(()),
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => Err(down(said)),
        status if status.is_server_error() => Err(down(said)),
        _ => Err(invalid(said)),
    }
}

fn unreached(error: &reqwest::Error) -> Fault {
    if let Some(refused) = Egress::refusal(error) {
        return invalid(refused.to_string());
    }
    if error.is_timeout() {
        return down("the input's host did not answer in time");
    }
    // A host that takes connections and then breaks them may do better later; one that takes none has a bad address.
    if error.is_connect() {
        invalid("the input's host cannot be reached")
    } else {
        down("the input did not arrive whole")
    }
}

fn not_kept(error: KeepError) -> Fault {
    match error {
        KeepError::TooLarge(_) | KeepError::Empty | KeepError::Unrecognised => invalid(error.to_string()),
        KeepError::Source(_) | KeepError::Store(_) => store_is_down(error.into()),
    }
}

fn store_is_down(error: anyhow::Error) -> Fault {
    down("the media store does not answer").because(error)
}

fn invalid(detail: impl Into<String>) -> Fault {
    Fault::refused(Kind::InvalidInput, detail)
}

/// Nothing was sent to the upstream yet, whatever went wrong here.
fn down(detail: impl Into<String>) -> Fault {
    Fault::new(Kind::Down, Verdict::NotReached, detail)
}

fn too_large() -> Fault {
    invalid(format!("the input is larger than {MAX_INPUT_BYTES} bytes"))
}

fn no_address() -> Fault {
    Fault::refused(Kind::Account, "public_url is not set")
}
