//! Which proxy each request uses.

use std::io;

use http::Uri;
use hyper_util::client::proxy::matcher::Matcher;
use lepton_core::{Error, Result};
use secrecy::{ExposeSecret as _, SecretString};

/// The proxies to use: those of the settings, otherwise those of the environment.
pub(crate) fn proxies(proxy: Option<&SecretString>) -> Result<Matcher> {
    let Some(proxy) = proxy else {
        let variable = |name: &str| std::env::var(name).ok();
        check_variables(variable)?;
        return Ok(of_variables(variable));
    };
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

/// The proxies that the environment names, as curl and Python read it: a variable in lower case
/// wins, also if it is empty. `HTTP_PROXY` in upper case does not count in a CGI program, whose
/// clients can set it.
fn of_variables(variable: impl Fn(&str) -> Option<String>) -> Matcher {
    let either = |lower: &str, upper: &str| variable(lower).or_else(|| variable(upper)).unwrap_or_default();
    let no_proxy = either("no_proxy", "NO_PROXY");
    if no_proxy.trim() == "*" {
        return Matcher::builder().build();
    }
    let is_cgi = variable("REQUEST_METHOD").is_some();
    let http = if is_cgi { variable("http_proxy").unwrap_or_default() } else { either("http_proxy", "HTTP_PROXY") };
    // A star counts only alone. Addresses may be in brackets, as in a URL.
    let entries = no_proxy.split(',').map(str::trim).filter(|entry| *entry != "*");
    let entries: Vec<_> = entries.map(|entry| entry.trim_start_matches('[').trim_end_matches(']')).collect();
    Matcher::builder()
        .all(either("all_proxy", "ALL_PROXY"))
        .http(http)
        .https(either("https_proxy", "HTTPS_PROXY"))
        .no(entries.join(","))
        .build()
}

/// Refuses a variable that names no address: without a proxy, requests would go where they must
/// not. The value is not shown, as it may hold a password.
fn check_variables(variable: impl Fn(&str) -> Option<String>) -> Result<()> {
    for name in ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"] {
        let Some(value) = variable(name).filter(|value| !value.is_empty()) else { continue };
        let (scheme, address) = value.split_once("://").unwrap_or(("http", &value));
        let spoken = ["http", "https", "socks4", "socks4a", "socks5", "socks5h"].contains(&scheme);
        let named = format!("http://{address}").parse::<Uri>().is_ok_and(|uri| uri.host().is_some());
        if !spoken || !named {
            let message = format!("the variable {name} is no address of a proxy such as http://host:port");
            return Err(Error::invalid_input(message));
        }
    }
    Ok(())
}

/// Refuses a proxy that speaks another protocol than plain HTTP, before anything is sent to it:
/// a password would go there in clear. The error shows no password.
pub(super) fn check(proxy: &Uri) -> io::Result<()> {
    if proxy.scheme_str() == Some("http") {
        return Ok(());
    }
    let (scheme, host) = (proxy.scheme_str().unwrap_or_default(), proxy.host().unwrap_or_default());
    let port = proxy.port_u16().map_or_else(String::new, |port| format!(":{port}"));
    let message = format!(
        "the proxy {scheme}://{host}{port} cannot be used: only proxies with http:// are supported; set another one, \
         or name the host in NO_PROXY"
    );
    Err(io::Error::new(io::ErrorKind::Unsupported, message))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    const PROXY: &str = "http://127.0.0.1:9";

    /// Whether a request goes to a proxy: what curl 7.88 and Python 3.11
    /// (`urllib.request.proxy_bypass_environment`) do with the same variables. Where the two differ,
    /// the comment says whom we follow.
    #[test]
    fn variables_mean_what_they_mean_to_curl_and_python() {
        let with = |no: &'static str| vec![("http_proxy", PROXY), ("no_proxy", no)];
        type Row<'a> = (Vec<(&'a str, &'a str)>, &'a str, bool);
        let table: Vec<Row<'_>> = vec![
            (vec![("http_proxy", PROXY)], "http://h/", true),
            // Python: curl never reads it in upper case.
            (vec![("HTTP_PROXY", PROXY)], "http://h/", true),
            (vec![("HTTP_PROXY", PROXY), ("REQUEST_METHOD", "GET")], "http://h/", false),
            (vec![("https_proxy", PROXY)], "https://h/", true),
            (vec![("HTTPS_PROXY", PROXY)], "https://h/", true),
            (vec![("all_proxy", PROXY)], "https://h/", true),
            (vec![("ALL_PROXY", PROXY)], "http://h/", true),
            (vec![("http_proxy", PROXY)], "https://h/", false),
            (vec![("http_proxy", "")], "http://h/", false),
            (vec![("http_proxy", ""), ("HTTP_PROXY", PROXY)], "http://h/", false),
            (vec![("http_proxy", "127.0.0.1:9")], "http://h/", true),
            (with("*"), "http://10.0.0.1/", false),
            (with("*"), "http://h/", false),
            (with("*,x"), "http://h/", true),
            (with(""), "http://h/", true),
            (with("h"), "http://h/", false),
            (with("H"), "http://h/", false),
            (with("h"), "http://a.h/", false),
            (with("h"), "http://xh/", true),
            (with(".h"), "http://a.h/", false),
            (with(".h"), "http://h/", false),
            (with("a, h"), "http://h/", false),
            (with("10.0.0.1"), "http://10.0.0.1/", false),
            // curl: Python knows no networks.
            (with("10.0.0.0/8"), "http://10.0.0.1/", false),
            // Each of the two knows one of these forms.
            (with("::1"), "http://[::1]/", false),
            (with("[::1]"), "http://[::1]/", false),
            // curl: Python compares ports.
            (with("h:80"), "http://h:80/", true),
            (vec![("http_proxy", PROXY), ("NO_PROXY", "h")], "http://h/", false),
            (vec![("http_proxy", PROXY), ("no_proxy", "other"), ("NO_PROXY", "h")], "http://h/", true),
        ];
        for (variables, url, expected) in table {
            let set: BTreeMap<_, _> = variables.iter().copied().collect();
            let matcher = of_variables(|name| set.get(name).map(|value| (*value).to_owned()));
            assert_eq!(matcher.intercept(&url.parse().unwrap()).is_some(), expected, "{variables:?} {url}");
        }
    }

    #[test]
    fn a_variable_that_is_no_address_is_refused_and_not_passed_over() {
        for wrong in ["foo://h:1", "http://127.0.0.1:9:9", "not a url", "ftp://user:s3cr3t@h"] {
            let error = check_variables(|name| (name == "HTTPS_PROXY").then(|| wrong.to_owned())).unwrap_err();
            let said = error.to_string();
            assert!(said.contains("HTTPS_PROXY") && !said.contains("s3cr3t") && !said.contains(wrong), "{said}");
        }
        for right in ["", PROXY, "127.0.0.1:9", "h", "http://user:p%40ss@h:1/", "socks5://h", "http://[::1]:9"] {
            check_variables(|name| (name == "all_proxy").then(|| right.to_owned())).unwrap();
        }
    }

    #[test]
    fn another_kind_of_proxy_is_refused_by_name() {
        for (proxy, shown) in
            [("socks5://user:s3cr3t@host:1080", "socks5://host:1080"), ("https://user:s3cr3t@host", "https://host")]
        {
            let matcher = of_variables(|name| (name == "ALL_PROXY").then(|| proxy.to_owned()));
            let found = matcher.intercept(&"http://h/".parse().unwrap()).unwrap();
            let error = check(found.uri()).unwrap_err().to_string();
            assert!(error.contains(shown) && !error.contains("s3cr3t"), "{error}");
        }
        check(&PROXY.parse().unwrap()).unwrap();
    }

    #[test]
    fn a_wrong_proxy_is_refused_without_showing_it() {
        let error = proxies(Some(&"socks5://user:s3cr3t@host".into())).unwrap_err();
        assert!(!error.to_string().contains("s3cr3t"), "{error}");
        proxies(Some(&"none".into())).unwrap();
        proxies(Some(&"http://user:x@host:3128".into())).unwrap();
    }
}
