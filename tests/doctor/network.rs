//! Faults between the program and the server: names, ports, TLS, proxies.

use std::sync::Arc;

use crate::support::places::{servers, unused_bucket};
use crate::support::tls::TlsCloud;
use crate::support::*;
use crate::told::{doctor, url};

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_does_not_resolve() {
    let host = format!("{}.invalid", "x".repeat(70));
    let told = doctor(&[&url(BUCKET, &format!("http://{host}"))], &[]).await;
    told.assert_wrong("resolve", &[&host, "Check the spelling of the endpoint"]);
}

fn closed_port() -> String {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_where_nobody_listens() {
    for scheme in ["http", "https"] {
        let told = doctor(&[&url(BUCKET, &format!("{scheme}://{}", closed_port()))], &[]).await;
        told.assert_wrong("connect", &["Check host and port of the endpoint"]);
        assert!(told.done().contains(&"resolve"), "{:?}", told.done());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_where_there_is_none() {
    for (kind, _, endpoint) in servers() {
        println!("{kind}");
        let told = doctor(&[&url(BUCKET, &endpoint.replace("http://", "https://"))], &[]).await;
        told.assert_wrong("tls", &["the server does not speak TLS", "Begin the endpoint with http://"]);
        assert!(told.done().contains(&"connect"), "{:?}", told.done());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_tls_where_there_is_some() {
    let cloud = TlsCloud::start("localhost").await;
    // Whether or not the certificate is trusted: that is the next problem to fix.
    for trusted in [true, false] {
        let plain = cloud.url("localhost", trusted).replace("https://", "http://");
        let told = doctor(&[&plain], &[]).await;
        told.assert_wrong("tls", &["The server speaks TLS at this port", "https://"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_nobody_vouches_for() {
    let cloud = TlsCloud::start("localhost").await;
    let told = doctor(&[&cloud.url("localhost", false)], &[]).await;
    told.assert_wrong("tls", &["not trusted", "set ca_file to that of its authority"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_of_another_name() {
    let cloud = TlsCloud::start("elsewhere.example").await;
    let told = doctor(&[&cloud.url("localhost", true)], &[]).await;
    told.assert_wrong("tls", &["elsewhere.example", "The certificate is that of another name"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_proxy() {
    let cloud = Cloud::start(None).await;
    let nobody = format!("http://user:s3cr3t-0f-n0b0dy@{}", closed_port());
    // A server that is not a proxy: it opens no tunnel.
    let server = cloud.server.endpoint();
    let tls = cloud.url().replace("http://", "https://");
    for (place, variable, proxy) in [
        (&cloud.url(), "HTTP_PROXY", nobody.as_str()),
        (&cloud.url(), "http_proxy", "http://nowhere.invalid:3128"),
        (&tls, "HTTPS_PROXY", &nobody),
        (&tls, "HTTPS_PROXY", &server),
        (&tls, "ALL_PROXY", &server),
    ] {
        let told = doctor(&[place], &[(variable, proxy)]).await;
        told.assert_wrong("proxy", &["Check the proxy's address", &format!("the proxy that {variable} names")]);
    }
    // If it is bypassed, everything works.
    doctor(&[&cloud.url()], &[("HTTP_PROXY", &nobody), ("NO_PROXY", "127.0.0.1")]).await.assert_well();
}

/// The settings file can contain a proxy with its password.
#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_proxy_of_the_settings() {
    let cloud = Cloud::start(None).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("settings.json");
    let proxy = format!("http://user:s3cr3t-0f-n0b0dy@{}", closed_port());
    std::fs::write(&file, serde_json::json!({ "type": "s3", "proxy": proxy }).to_string()).unwrap();
    let told = doctor(&[&cloud.url(), "--settings", file.to_str().unwrap()], &[]).await;
    told.assert_wrong("proxy", &["the proxy that the setting proxy names"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_region() {
    let wrong = [("AWS_REGION", "nowhere-1")];
    for (kind, preset, endpoint) in servers() {
        println!("{kind}");
        let bucket = unused_bucket();
        let store = lepton::providers::s3::S3Storage::new(places::config(&bucket, &endpoint, preset)).unwrap();
        store.create_bucket().await.unwrap();
        // The servers report the correct region, which is then used.
        doctor(&[&url(&bucket, &endpoint)], &wrong).await.assert_well();
    }
    // A server that reports none.
    let refusal = lepton_s3_front::Failure::new(400, "AuthorizationHeaderMalformed");
    let hooks = lepton_s3_front::ScriptedHooks::new(1)
        .rule(lepton_s3_front::Rule::always(), lepton_s3_front::Action::Fail(refusal));
    let cloud = Cloud::start(Some(Arc::new(hooks))).await;
    doctor(&[&cloud.url()], &wrong).await.assert_wrong("credentials", &["Set region to that of the bucket"]);
}
