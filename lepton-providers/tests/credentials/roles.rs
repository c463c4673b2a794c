//! Roles: the token service is a fake ([`super::service`]) that checks signatures, and
//! moto, which is a mock too but nobody's here.

use std::sync::Arc;

use lepton_core::{ErrorKind, RetryClass, StorageExt as _};
use lepton_providers::s3::Preset;

use super::home::{Bucket, Clock, Home, MARK, is};
use super::service::{Asked, Reply, Service, ok};
use super::{servers, signature};

/// What the token service answers.
fn issued(action: &str, id: &str, expiration: &str) -> Reply {
    ok(format!(
        "<{action}Response xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><{action}Result><Credentials>\
         <AccessKeyId>{id}</AccessKeyId><SecretAccessKey>{MARK}-of-{id}</SecretAccessKey>\
         <SessionToken>{MARK}-token-of-{id}</SessionToken><Expiration>{expiration}</Expiration>\
         </Credentials></{action}Result></{action}Response>"
    ))
}

fn refused(code: &str) -> Reply {
    let body = format!("<ErrorResponse><Error><Code>{code}</Code><Message>because</Message></Error></ErrorResponse>");
    Reply::Say(400, body)
}

/// Gives the role `arn:aws:iam::1:role/x` credentials with the key `x`.
fn role_of(asked: &Asked, expiration: &str) -> Reply {
    let arn = asked.field("RoleArn").unwrap();
    issued(&asked.field("Action").unwrap(), arn.rsplit('/').next().unwrap(), expiration)
}

async fn token_service(clock: &Arc<Clock>) -> Service {
    let clock = Arc::clone(clock);
    Service::start(move |asked| role_of(asked, &clock.after(3600))).await
}

#[tokio::test]
async fn a_workload_takes_its_role_on_with_the_token_of_the_moment() {
    let clock = Clock::still();
    let (sts, bucket, home) = (token_service(&clock).await, Bucket::start().await, Home::of(clock.clone()));
    let file = home.write("token", "s3cr3t.workload/1\n");
    let home = home
        .var("AWS_WEB_IDENTITY_TOKEN_FILE", file.to_str().unwrap())
        .var("AWS_ROLE_ARN", "arn:aws:iam::1:role/worker")
        .var("AWS_ROLE_SESSION_NAME", "night")
        .var("AWS_ENDPOINT_URL_STS", &sts.endpoint);
    let store = bucket.open(&home);
    assert_eq!(bucket.who(&store).await.unwrap(), is("worker"));
    std::fs::write(&file, "s3cr3t.workload/2\n").unwrap();
    clock.pass(3600);
    assert_eq!(bucket.who(&store).await.unwrap(), is("worker"));
    let asked = sts.asked();
    let fields = |name: &str| asked.iter().map(|asked| asked.field(name).unwrap()).collect::<Vec<_>>();
    assert_eq!(fields("WebIdentityToken"), ["s3cr3t.workload/1", "s3cr3t.workload/2"]);
    assert_eq!(fields("Action"), ["AssumeRoleWithWebIdentity"; 2]);
    assert_eq!(fields("RoleSessionName"), ["night"; 2]);
    assert!(asked.iter().all(|asked| asked.header("authorization").is_none()));
}

#[tokio::test]
async fn what_the_token_service_refuses_is_told_and_tried_again_where_that_helps() {
    for (code, kind, again) in [
        ("InvalidIdentityToken", ErrorKind::Unauthenticated, false),
        ("Throttling", ErrorKind::Throttled, true),
        ("IDPCommunicationError", ErrorKind::Unavailable, true),
    ] {
        let (sts, bucket, home) = (Service::start(move |_| refused(code)).await, Bucket::start().await, Home::new());
        let file = home.write("token", "s3cr3t");
        let home = home
            .var("AWS_WEB_IDENTITY_TOKEN_FILE", file.to_str().unwrap())
            .var("AWS_ROLE_ARN", "arn:aws:iam::1:role/worker")
            .var("AWS_ENDPOINT_URL_STS", &sts.endpoint);
        let error = bucket.who(&bucket.open(&home)).await.unwrap_err();
        assert_eq!((error.kind(), error.retry() != RetryClass::Never, error.code()), (kind, again, Some(code)));
        assert_eq!(error.context("role"), Some("arn:aws:iam::1:role/worker"));
        assert!(bucket.0.asked().is_empty());
    }
}

const CHAIN: &str = "
[profile top]
role_arn = arn:aws:iam::1:role/second
source_profile = middle
external_id = x&y
[profile middle]
role_arn = arn:aws:iam::1:role/first
source_profile = bottom
[profile bottom]
aws_access_key_id = STATIC
aws_secret_access_key = s3cr3t-of-static
";

#[tokio::test]
async fn a_role_is_taken_on_with_a_role_that_is_taken_on_with_keys() {
    let clock = Clock::still();
    let (sts, bucket) = (token_service(&clock).await, Bucket::start().await);
    let home = Home::of(clock).config(CHAIN).var("AWS_ENDPOINT_URL_STS", format!("{}/behind/it", sts.endpoint));
    let store = home.open(bucket.config().profile("top")).unwrap();
    assert_eq!(bucket.who(&store).await.unwrap(), is("second"));
    let [first, second] = <[Asked; 2]>::try_from(sts.asked()).unwrap();
    assert_eq!((first.signed_by(), first.header("x-amz-security-token")), ("STATIC", None));
    signature::check(&first, "s3cr3t-of-static", &["host", "x-amz-date"]);
    assert_eq!((second.signed_by(), second.path.as_str()), ("first", "/behind/it/"));
    assert_eq!(second.header("x-amz-security-token"), Some("s3cr3t-token-of-first"));
    signature::check(&second, "s3cr3t-of-first", &["host", "x-amz-date", "x-amz-security-token"]);
    assert_eq!((first.field("ExternalId"), second.field("ExternalId").as_deref()), (None, Some("x&y")));
    let used = bucket.0.asked().pop().unwrap();
    signature::check(&Asked { body: String::new(), ..used }, "s3cr3t-of-second", &["x-amz-security-token"]);
}

#[tokio::test]
async fn profiles_that_lead_in_a_circle_are_named() {
    let circle = "[profile a]\nrole_arn=x\nsource_profile=b\n[profile b]\nrole_arn=x\nsource_profile=c\n\
                  [profile c]\nrole_arn=x\nsource_profile=b\n";
    let bucket = Bucket::start().await;
    let error = Home::new().config(circle).open(bucket.config().profile("a")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.to_string().contains("a → b → c → b"), "{error}");
}

/// The authority of the token service's certificate may be given in three ways.
#[tokio::test]
async fn a_token_service_is_trusted_by_the_certificates_of_the_settings() {
    let clock = Clock::still();
    let end = clock.after(3600);
    let (sts, _folder, ca_file) = Service::start_tls(move |asked| role_of(asked, &end)).await;
    let (bucket, ca_file) = (Bucket::start().await, ca_file.to_str().unwrap().to_owned());
    let home = |more: &str| {
        let home = Home::of(clock.clone()).config(&CHAIN.replace("[profile top]", &format!("[profile top]\n{more}")));
        home.var("AWS_ENDPOINT_URL_STS", &sts.endpoint)
    };
    let config = || bucket.config().profile("top");
    for store in [
        home("").open(config().ca_file(&ca_file)),
        home("").var("AWS_CA_BUNDLE", &ca_file).open(config()),
        home(&format!("ca_bundle={ca_file}")).open(config()),
    ] {
        assert_eq!(bucket.who(&store.unwrap()).await.unwrap(), is("second"));
    }
    let error = bucket.who(&home("").open(config()).unwrap()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Tls, "{error:?}");
}

/// Against moto: its answer is read, and what it gave is accepted by it.
#[tokio::test]
async fn a_role_of_moto_reads_and_writes_there() {
    let Some(server) = servers::all().into_iter().find(|server| server.name == "moto") else { return };
    let bucket = server.new_bucket().await;
    let profiles = format!(
        "[profile role]\nrole_arn=arn:aws:iam::123456789012:role/any\nsource_profile=keys\n\
         [profile keys]\naws_access_key_id={}\naws_secret_access_key={}\n",
        servers::KEY,
        servers::SECRET
    );
    let home = Home::of(Clock::hasty()).config(&profiles).var("AWS_ENDPOINT_URL_STS", &server.endpoint);
    let config = lepton_providers::s3::S3Config::new(bucket).endpoint(server.endpoint.clone()).preset(Preset::Moto);
    let store = home.open(config.region("us-east-1").profile("role")).unwrap();
    let key = lepton_core::ObjectKey::try_from("k").unwrap();
    store.write(&key, "bytes".into()).await.unwrap();
    assert_eq!(store.read(&key, 9).await.unwrap(), "bytes");
}
