//! The targets of requests.

use http::HeaderValue;
use http::uri::{Authority, Scheme, Uri};
use lepton_core::{Error, ObjectKey, Result};

use super::config::AddressingStyle;
use crate::wire::address::{Address, is_google_host, uri};
use crate::wire::encode::push_path;

/// The address of a store; a region and a bucket complete it.
#[derive(Debug, Clone)]
pub(super) struct Endpoint {
    base: Base,
    virtual_host: bool,
    bucket: String,
}

#[derive(Debug, Clone)]
enum Base {
    /// Amazon's, which depends on the region.
    Aws,
    Fixed(Address),
}

impl Endpoint {
    pub(super) fn new(bucket: &str, endpoint: Option<&str>, style: AddressingStyle) -> Result<Self> {
        let base = match endpoint {
            None => Base::Aws,
            Some(endpoint) => Base::Fixed(Address::parse(endpoint)?),
        };
        let is_aws = match &base {
            Base::Aws => true,
            Base::Fixed(address) => is_aws_host(address.authority.host()),
        };
        check_bucket(bucket)?;
        let virtual_host = match style {
            AddressingStyle::Path => false,
            AddressingStyle::Virtual if !is_host_label(bucket, true) => {
                let message = format!("the bucket {bucket:?} cannot be part of a host name; use addressing_style=path");
                return Err(Error::invalid_input(message));
            }
            AddressingStyle::Virtual => true,
            AddressingStyle::Auto => is_aws && is_host_label(bucket, false),
        };
        Ok(Self { base, virtual_host, bucket: bucket.to_owned() })
    }

    pub(super) fn is_aws(&self) -> bool {
        match &self.base {
            Base::Aws => true,
            Base::Fixed(address) => is_aws_host(address.authority.host()),
        }
    }

    pub(super) fn is_tls(&self) -> bool {
        match &self.base {
            Base::Aws => true,
            Base::Fixed(address) => address.is_tls(),
        }
    }

    /// The endpoint in canonical form; `None` for Amazon's own.
    pub(super) fn canonical(&self) -> Option<String> {
        match &self.base {
            Base::Aws => None,
            Base::Fixed(address) => Some(address.canonical()),
        }
    }

    /// Identifies the bucket independently of the address, for addresses known to belong
    /// to the same service: Amazon's bucket names are unique within a partition, and
    /// Google's are globally unique, including in its XML API.
    pub(super) fn domain(&self, region: &str) -> String {
        let bucket = &self.bucket;
        let host = match &self.base {
            Base::Aws => None,
            Base::Fixed(address) => Some(address.authority.host()),
        };
        match (host, &self.base) {
            (Some(host), _) if is_google_host(host) => format!("gs/{bucket}"),
            (Some(host), Base::Fixed(address)) if !is_aws_host(host) => format!("{}/{bucket}", address.canonical()),
            (host, _) => {
                let region = host.unwrap_or(region);
                let is = |part: &str| region.starts_with(part) || region.contains(&format!(".{part}"));
                let partition = ["cn-", "us-gov-", "us-iso"].into_iter().find(|part| is(part)).unwrap_or_default();
                format!("aws/{partition}{bucket}")
            }
        }
    }

    /// The target for a region.
    pub(super) fn target(&self, region: &str) -> Result<Target> {
        self.target_of(&self.bucket, region)
    }

    /// The same for another bucket at this endpoint.
    pub(super) fn target_of(&self, bucket: &str, region: &str) -> Result<Target> {
        let (scheme, host, path) = match &self.base {
            Base::Aws => {
                let suffix = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
                (Scheme::HTTPS, format!("s3.{region}.{suffix}"), "")
            }
            Base::Fixed(at) => (at.scheme.clone(), at.authority.to_string(), at.path.as_str()),
        };
        let (host, path) = if self.virtual_host {
            (format!("{bucket}.{host}"), format!("{path}/"))
        } else {
            (host, format!("{path}/{bucket}/"))
        };
        let wrong = |source: http::Error| {
            Error::invalid_input(format!("{host:?} is not a host name; check bucket, endpoint and region"))
                .with_source(source)
        };
        Ok(Target {
            region: region.to_owned(),
            authority: host.parse().map_err(|error| wrong(http::Error::from(error)))?,
            host: HeaderValue::from_str(&host).map_err(|error| wrong(error.into()))?,
            scheme,
            path,
        })
    }
}

/// The target of requests for a bucket, once the region is known.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) region: String,
    pub(super) host: HeaderValue,
    scheme: Scheme,
    authority: Authority,
    /// The bucket's own path; keys follow it.
    path: String,
}

impl Target {
    /// The encoded path of a key, or of the bucket.
    pub(super) fn path(&self, key: Option<&ObjectKey>) -> String {
        let mut path = self.path.clone();
        match key {
            Some(key) => push_path(&mut path, key.as_bytes()),
            None if path.len() > 1 => path.truncate(path.len() - 1),
            None => {}
        }
        path
    }

    /// The URL of an encoded path.
    pub(super) fn uri(&self, path: &str, query: &str) -> Result<Uri> {
        uri(&self.scheme, &self.authority, path, query)
    }
}

fn is_aws_host(host: &str) -> bool {
    host.ends_with(".amazonaws.com") || host.ends_with(".amazonaws.com.cn")
}

fn check_bucket(bucket: &str) -> Result<()> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    if bucket.is_empty() {
        return Err(Error::invalid_input("no bucket is named; write s3://bucket/prefix"));
    }
    if !bucket.bytes().all(allowed) || bucket.starts_with('.') || bucket.len() > 255 {
        let message = format!("{bucket:?} is not a bucket name: letters, digits, `-`, `.` and `_` are allowed");
        return Err(Error::invalid_input(message));
    }
    Ok(())
}

/// Whether a certificate for `*.host` covers the bucket as a subdomain. With `dots`, the
/// bucket may also be several labels, which the certificate does not cover.
fn is_host_label(bucket: &str, dots: bool) -> bool {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || (dots && b == b'.');
    (3..=63).contains(&bucket.len())
        && bucket.bytes().all(allowed)
        && !bucket.starts_with('-')
        && !bucket.ends_with('-')
}

#[cfg(test)]
mod tests {
    use lepton_core::ErrorKind;

    use super::*;

    fn address(bucket: &str, endpoint: Option<&str>, style: AddressingStyle, region: &str, key: &str) -> String {
        let target = Endpoint::new(bucket, endpoint, style).unwrap().target(region).unwrap();
        let key = (!key.is_empty()).then(|| ObjectKey::try_from(key).unwrap());
        target.uri(&target.path(key.as_ref()), "").unwrap().to_string()
    }

    #[test]
    fn addresses_of_both_styles() {
        use AddressingStyle::{Auto, Path, Virtual};
        for (bucket, endpoint, style, region, key, expected) in [
            ("abc", None, Auto, "us-west-2", "k", "https://abc.s3.us-west-2.amazonaws.com/k"),
            ("a.b.c", None, Auto, "us-west-2", "k", "https://s3.us-west-2.amazonaws.com/a.b.c/k"),
            ("abc", None, Auto, "cn-north-1", "", "https://abc.s3.cn-north-1.amazonaws.com.cn/"),
            ("abc", None, Path, "us-west-2", "/../k//", "https://s3.us-west-2.amazonaws.com/abc//../k//"),
            ("abc", Some("http://127.0.0.1:9000/"), Auto, "x", "", "http://127.0.0.1:9000/abc"),
            ("abc", Some("HTTP://Host:80/base/"), Auto, "x", "./k ", "http://host/base/abc/./k%20"),
            ("abc", Some("https://host:443"), Virtual, "x", "/k", "https://abc.host//k"),
        ] {
            assert_eq!(address(bucket, endpoint, style, region, key), expected);
        }
    }

    #[test]
    fn one_bucket_has_one_domain() {
        let domain = |endpoint: Option<&str>, region| {
            Endpoint::new("abc", endpoint, AddressingStyle::Auto).unwrap().domain(region)
        };
        for (endpoint, region, expected) in [
            (None, "eu-west-1", "aws/abc"),
            (Some("https://s3.eu-west-1.amazonaws.com"), "eu-west-1", "aws/abc"),
            (Some("https://s3.dualstack.us-east-1.amazonaws.com"), "us-east-1", "aws/abc"),
            (Some("https://s3-accelerate.amazonaws.com"), "us-east-1", "aws/abc"),
            (None, "cn-north-1", "aws/cn-abc"),
            (Some("https://s3.cn-north-1.amazonaws.com.cn"), "x", "aws/cn-abc"),
            (Some("https://s3.us-gov-west-1.amazonaws.com"), "x", "aws/us-gov-abc"),
            (Some("https://storage.googleapis.com"), "auto", "gs/abc"),
            (Some("https://notgoogleapis.com"), "x", "https://notgoogleapis.com/abc"),
            (Some("http://LOCALHOST:9000/"), "x", "http://localhost:9000/abc"),
        ] {
            assert_eq!(domain(endpoint, region), expected);
        }
    }

    #[test]
    fn wrong_endpoints_and_buckets_are_refused() {
        for endpoint in ["", "host:80", "ftp://host", "https://user:s3cr3t@host", "https://host/?x", "/path"] {
            let error = Endpoint::new("abc", Some(endpoint), AddressingStyle::Auto).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
            assert!(!error.to_string().contains("s3cr3t"));
        }
        for bucket in ["", "a/b", "a b", "..", "a?b"] {
            assert!(Endpoint::new(bucket, None, AddressingStyle::Auto).is_err(), "{bucket}");
        }
        assert!(Endpoint::new("UPPER", None, AddressingStyle::Virtual).is_err());
    }
}
