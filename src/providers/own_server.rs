//! Servers of the operator's own (WebUI, ComfyUI): their address is a variable, in which user and password may stand.

use percent_encoding::percent_decode_str;
use reqwest::Method;
use url::Url;

use super::{Call, Cx};
use crate::domain::{Fault, fault::Kind};

/// Stands for the host in addresses that the base-URL override replaces.
const PLACEHOLDER: &str = "http://self-hosted.invalid";

/// The address of a path on the server named by `variable`, without user and password. The override of `cx` wins.
pub fn address(cx: &Cx, variable: &str, path: &str) -> Result<Url, Fault> {
    if cx.base.is_some() {
        return cx.url(&format!("{PLACEHOLDER}{path}"));
    }
    let server = server(cx, variable)?;
    let mut bare = server.clone();
    if bare.set_username("").and_then(|()| bare.set_password(None)).is_err() {
        return Err(unusable(variable));
    }
    let (path, query) = path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
    bare.set_path(&format!("{}{path}", server.path().trim_end_matches('/')));
    bare.set_query(query);
    Ok(bare)
}

/// A call to a path on that server, with the credentials of the variable.
pub fn call(cx: &Cx, method: Method, variable: &str, path: &str) -> Result<Call, Fault> {
    let url = address(cx, variable, path)?;
    authorize(cx, variable, cx.call(method, url.as_str())?)
}

/// The call with user and password of the variable, where it has any. An override that brings its own keeps them.
pub fn authorize(cx: &Cx, variable: &str, call: Call) -> Result<Call, Fault> {
    let overridden = cx.base.as_ref().is_some_and(|base| !base.username().is_empty());
    if overridden || cx.try_secret(variable).is_none() {
        return Ok(call);
    }
    let server = server(cx, variable)?;
    if server.username().is_empty() && server.password().is_none() {
        return Ok(call);
    }
    let plain = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    Ok(call.basic(&plain(server.username()), server.password().map(plain).as_deref()))
}

fn server(cx: &Cx, variable: &str) -> Result<Url, Fault> {
    // The parse error is left out: it may quote the password.
    let url = Url::parse(cx.secret(variable)?).map_err(|_| unusable(variable))?;
    if matches!(url.scheme(), "http" | "https") { Ok(url) } else { Err(unusable(variable)) }
}

fn unusable(variable: &str) -> Fault {
    Fault::refused(Kind::Account, format!("{variable} is not an http address"))
}
