//! Machines and containers: the services beside them are fakes ([`super::service`]).

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use lepton_core::{ErrorKind, RetryClass};

use super::home::{Bucket, Clock, Home, MARK, is, keys};
use super::service::{Asked, Reply, Service, ok, refuse};

const ROLES: &str = "/latest/meta-data/iam/security-credentials/";

/// The metadata service in version 2: nothing without a token, no token without a lifetime.
async fn machine(clock: &Arc<Clock>, role: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Service {
    let (clock, count) = (Arc::clone(clock), AtomicU32::new(0));
    let token = format!("{MARK}-of-machine");
    Service::start(move |asked| match (asked.method.as_str(), asked.path.as_str()) {
        ("PUT", "/latest/api/token") => match asked.header("x-aws-ec2-metadata-token-ttl-seconds") {
            Some(seconds) if (1..=21_600).contains(&seconds.parse::<u32>().unwrap()) => ok(token.clone()),
            _ => refuse(400),
        },
        ("GET", _) if asked.header("x-aws-ec2-metadata-token") != Some(&token) => refuse(401),
        ("GET", ROLES) => role(asked),
        ("GET", path) if path == format!("{ROLES}a-role") => {
            ok(keys(&format!("MACHINE{}", count.fetch_add(1, Ordering::Relaxed)), &clock.after(3600)))
        }
        _ => refuse(404),
    })
    .await
}

fn beside(home: Home, machine: &Service) -> Home {
    home.var("AWS_EC2_METADATA_SERVICE_ENDPOINT", &machine.endpoint)
}

#[tokio::test]
async fn a_machine_gives_its_role_by_the_second_version_alone() {
    let clock = Clock::still();
    let (machine, bucket) = (machine(&clock, |_| ok("a-role")).await, Bucket::start().await);
    let store = bucket.open(&beside(Home::of(clock.clone()), &machine));
    assert_eq!(bucket.who(&store).await.unwrap(), is("MACHINE0"));
    assert_eq!(bucket.who(&store).await.unwrap(), is("MACHINE0"));
    let way = ["/latest/api/token".to_owned(), ROLES.to_owned(), format!("{ROLES}a-role")];
    assert_eq!(machine.paths(), way);
    clock.pass(3600);
    assert_eq!(bucket.who(&store).await.unwrap(), is("MACHINE1"));
    assert_eq!(machine.paths(), [&way[..], &way[..]].concat());
}

#[tokio::test]
async fn a_machine_without_a_role_or_a_service_is_told() {
    let bucket = Bucket::start().await;
    for role in [refuse as fn(u16) -> Reply, |_| ok("")] {
        let machine = machine(&Clock::still(), move |_| role(404)).await;
        let error = bucket.who(&bucket.open(&beside(Home::new(), &machine))).await.unwrap_err();
        assert_eq!((error.kind(), error.retry()), (ErrorKind::Unauthenticated, RetryClass::Never));
        assert!(error.to_string().contains("the machine has no role; attach an instance profile"), "{error}");
    }
    // Switched off: the first version is not tried instead.
    let off = Service::start(|_| refuse(403)).await;
    let error = bucket.who(&bucket.open(&beside(Home::new(), &off))).await.unwrap_err();
    assert_eq!((error.kind(), error.status()), (ErrorKind::Unauthenticated, Some(403)));
    assert_eq!(off.paths(), ["/latest/api/token"]);
    let busy = Service::start(|_| refuse(503)).await;
    let error = bucket.who(&bucket.open(&beside(Home::new(), &busy))).await.unwrap_err();
    assert!((error.kind() == ErrorKind::Throttled) && error.retry() != RetryClass::Never, "{error:?}");
    // Nobody answers: what passes a container's gateway comes back too late.
    let silent = Service::start(|_| Reply::Hang).await;
    let home = beside(Home::new(), &silent).var("AWS_METADATA_SERVICE_TIMEOUT", "0.05");
    let error = bucket.who(&bucket.open(&home)).await.unwrap_err();
    assert_eq!((error.kind(), error.retry()), (ErrorKind::Timeout, RetryClass::Now));
    assert!(error.to_string().contains("hop limit"), "{error}");
    let disabled = beside(Home::new(), &off).var("AWS_EC2_METADATA_DISABLED", "true");
    let error = disabled.open(bucket.config()).unwrap_err();
    assert!(error.to_string().contains("no credentials were found"), "{error}");
}

fn in_container(service: &Service, home: Home) -> Home {
    home.var("AWS_CONTAINER_CREDENTIALS_FULL_URI", format!("{}/v1/credentials?a=b", service.endpoint))
}

#[tokio::test]
async fn a_container_shows_its_permission() {
    let clock = Clock::still();
    let end = clock.after(3600);
    let service = Service::start(move |asked| match (asked.path.as_str(), asked.header("authorization")) {
        ("/v1/credentials", Some("s3cr3t-permission")) => ok(keys("CONTAINER", &end)),
        _ => refuse(401),
    })
    .await;
    let bucket = Bucket::start().await;
    let permitted = Home::of(clock).var("AWS_CONTAINER_AUTHORIZATION_TOKEN", "s3cr3t-permission");
    assert_eq!(bucket.who(&bucket.open(&in_container(&service, permitted))).await.unwrap(), is("CONTAINER"));
    assert_eq!(service.asked()[0].query, "a=b");
    let stranger = Home::new().var("AWS_CONTAINER_AUTHORIZATION_TOKEN", "s3cr3t-of-a-stranger");
    let error = bucket.who(&bucket.open(&in_container(&service, stranger))).await.unwrap_err();
    assert_eq!((error.kind(), error.status()), (ErrorKind::Unauthenticated, Some(401)));
    assert!(error.to_string().contains("service of the container"), "{error}");
}

/// The agent of EKS: the token of the pod is renewed under it.
#[tokio::test]
async fn a_pods_token_is_read_anew_for_each_question() {
    let clock = Clock::still();
    let time = Arc::clone(&clock);
    let service = Service::start(move |asked| match asked.header("authorization") {
        Some(token) if token.starts_with("s3cr3t-pod-") => {
            ok(keys(&format!("POD{}", &token["s3cr3t-pod-".len()..]), &time.after(600)))
        }
        _ => refuse(401),
    })
    .await;
    let (bucket, home) = (Bucket::start().await, Home::of(clock.clone()));
    let file = home.write("pod-token", "s3cr3t-pod-1\n");
    let home = home.var("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", file.to_str().unwrap());
    let home = in_container(&service, home);
    let store = bucket.open(&home);
    assert_eq!(bucket.who(&store).await.unwrap(), is("POD1"));
    std::fs::write(&file, "s3cr3t-pod-2\n").unwrap();
    assert_eq!(bucket.who(&store).await.unwrap(), is("POD1"));
    clock.pass(600);
    assert_eq!(bucket.who(&store).await.unwrap(), is("POD2"));
    std::fs::remove_file(&file).unwrap();
    clock.pass(600);
    let error = bucket.who(&store).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthenticated);
    assert!(error.to_string().contains(file.to_str().unwrap()), "{error}");
}
