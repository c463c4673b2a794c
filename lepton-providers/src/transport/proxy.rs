//! Which proxy each request uses.

use hyper_util::client::proxy::matcher::Matcher;
use lepton_core::{Error, Result};
use secrecy::{ExposeSecret as _, SecretString};

/// The proxies to use: those of the settings, otherwise those of the environment.
pub(crate) fn proxies(proxy: Option<&SecretString>) -> Result<Matcher> {
    let Some(proxy) = proxy else { return Ok(Matcher::from_env()) };
    let proxy = proxy.expose_secret();
    if proxy == "none" {
        return Ok(Matcher::builder().build());
    }
    let is_proxy =
        proxy.parse::<http::Uri>().is_ok_and(|uri| uri.scheme_str() == Some("http") && uri.authority().is_some());
    if !is_proxy {
        return Err(Error::invalid_input("proxy is not an address such as http://host:port, nor `none`"));
    }
    Ok(Matcher::builder().all(proxy.to_owned()).build())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_proxy_is_refused_without_showing_it() {
        let error = proxies(Some(&"socks5://user:s3cr3t@host".into())).unwrap_err();
        assert!(!error.to_string().contains("s3cr3t"), "{error}");
        proxies(Some(&"none".into())).unwrap();
        proxies(Some(&"http://user:x@host:3128".into())).unwrap();
    }
}
