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
    let mut url = match &cx.base {
        Some(_) => cx.url(&format!("{PLACEHOLDER}{path}"))?,
        None => below(server(cx, variable)?, path),
    };
    url.set_username("").and_then(|()| url.set_password(None)).map_err(|()| unusable(variable))?;
    Ok(url)
}

/// A call to a path on that server, with its credentials.
pub fn call(cx: &Cx, method: Method, variable: &str, path: &str) -> Result<Call, Fault> {
    let url = address(cx, variable, path)?;
    authorize(cx, variable, cx.call(method, url.as_str())?)
}

/// The call with user and password of the server, where it has any: those of the override, else of the variable.
pub fn authorize(cx: &Cx, variable: &str, call: Call) -> Result<Call, Fault> {
    let known = |url: &Url| !url.username().is_empty() || url.password().is_some();
    let server = match cx.base.clone().filter(known) {
        Some(base) => base,
        None if cx.try_secret(variable).is_some() => server(cx, variable)?,
        None => return Ok(call),
    };
    if !known(&server) {
        return Ok(call);
    }
    let plain = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    Ok(call.basic(&plain(server.username()), server.password().map(plain).as_deref()))
}

fn below(mut server: Url, path: &str) -> Url {
    let (path, query) = path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
    let path = format!("{}{path}", server.path().trim_end_matches('/'));
    server.set_path(&path);
    server.set_query(query);
    server
}

fn server(cx: &Cx, variable: &str) -> Result<Url, Fault> {
    // The parse error is left out: it may quote the password.
    let url = Url::parse(cx.secret(variable)?).map_err(|_| unusable(variable))?;
    if matches!(url.scheme(), "http" | "https") { Ok(url) } else { Err(unusable(variable)) }
}

fn unusable(variable: &str) -> Fault {
    Fault::refused(Kind::Account, format!("{variable} is not an http address"))
}
