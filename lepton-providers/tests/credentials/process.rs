//! Commands that print credentials: real processes.

use lepton_core::ErrorKind;

use super::home::{Bucket, Home, is, keys};

#[tokio::test]
async fn a_command_is_run_again_before_what_it_printed_expires() {
    let (bucket, home) = (Bucket::start().await, Home::new());
    let count = home.write("count", "");
    let printed = |id: &str, after| keys(id, &home.clock.after(after)).replacen('{', "{\"Version\": 1,", 1);
    let printed = |id, after| printed(id, after).replace("\"Token\"", "\"SessionToken\"");
    let (first, second) = (home.write("0", printed("PRINTED0", 600)), home.write("1", printed("PRINTED1", 1200)));
    let script = format!(
        "cat $([ -s {count} ] && echo {second} || echo {first}); echo x >> {count}",
        count = count.display(),
        first = first.display(),
        second = second.display()
    );
    let home = home.config(&format!("[default]\ncredential_process = sh -c '{script}'\n"));
    let store = bucket.open(&home);
    assert_eq!(bucket.who(&store).await.unwrap(), is("PRINTED0"));
    assert_eq!(bucket.who(&store).await.unwrap(), is("PRINTED0"));
    home.clock.pass(600);
    assert_eq!(bucket.who(&store).await.unwrap(), is("PRINTED1"));
    assert_eq!(std::fs::read_to_string(&count).unwrap(), "x\nx\n");
}

#[tokio::test]
async fn a_command_that_fails_is_told_in_its_own_words_but_for_secrets() {
    let bucket = Bucket::start().await;
    let script = "echo s3cr3t; echo no session for token=s3cr3t-x, log in >&2; exit 2";
    let home = Home::new().config(&format!("[default]\ncredential_process = sh -c '{script}'\n"));
    let error = bucket.who(&bucket.open(&home)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthenticated);
    let said = error.full_message();
    assert!(said.contains("ended with a failure") && said.contains("no session for token=… log in"), "{said}");
    assert!(!said.contains("s3cr3t"), "{said}");
}
