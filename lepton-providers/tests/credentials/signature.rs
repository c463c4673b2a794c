//! Signature Version 4, once more and by itself: what a service would compute of a request.

use hmac::{Hmac, KeyInit as _, Mac as _};
use lepton_core::to_hex;
use sha2::{Digest as _, Sha256};

use super::service::Asked;

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

/// Asserts that whoever has this secret signed the request, these headers with it.
pub(crate) fn check(asked: &Asked, secret: &str, signed: &[&str]) {
    let authorization = asked.header("authorization").unwrap();
    let part = |name: &str| authorization.split_once(name).unwrap().1.split(',').next().unwrap().to_owned();
    let (credential, names) = (part("Credential="), part("SignedHeaders="));
    let names: Vec<&str> = names.split(';').collect();
    for name in signed {
        assert!(names.contains(name), "{name} is not among {names:?}");
    }
    let headers: String = names.iter().map(|name| format!("{name}:{}\n", asked.header(name).unwrap().trim())).collect();
    let request = format!(
        "{}\n{}\n{}\n{headers}\n{}\n{}",
        asked.method,
        asked.path,
        asked.query,
        names.join(";"),
        to_hex(&Sha256::digest(asked.body.as_bytes()))
    );
    let scope = credential.split_once('/').unwrap().1;
    let date = asked.header("x-amz-date").unwrap();
    let text = format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{}", to_hex(&Sha256::digest(request.as_bytes())));
    let key = scope.split('/').fold(format!("AWS4{secret}").into_bytes(), |key, step| mac(&key, step));
    assert_eq!(part("Signature="), to_hex(&mac(&key, &text)), "of {request:?}");
}
