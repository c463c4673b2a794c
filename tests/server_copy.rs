//! Between two places of one server, the server copies by itself, with all that is
//! attached to the objects.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "test")]

mod support;

use lepton::core::{Attribute, Attributes, Body, HeadOptions, PutOptions};
use lepton::{Depth, Existing, Location, Status, Transfer, verify};
use support::places::{Place, kinds};
use support::*;

fn dressed() -> Attributes {
    let mut attributes = Attributes::default();
    attributes.content_type = Some("text/x-lepton".into());
    attributes.cache_control = Some("no-cache".into());
    attributes.user_metadata = [("color".to_owned(), "red".to_owned())].into();
    attributes.tags = [("team".to_owned(), "a b".to_owned())].into();
    attributes
}

#[tokio::test(flavor = "multi_thread")]
async fn one_server_copies_between_its_buckets() {
    for kind in kinds() {
        let (from, to) = (Place::fresh(kind).await, Place::fresh(kind).await);
        fill_mixed(from.storage.as_ref(), 3, 20, 2).await;
        let mut attributes = dressed();
        for attribute in Attribute::ALL {
            if !from.storage.capabilities().keeps(*attribute) {
                attributes.remove(*attribute);
            }
        }
        let options = PutOptions::new().attributes(attributes.clone());
        from.storage.put(&key("dressed a+b c"), Body::from(bytes(9, 1000)), options).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let build = || Transfer::builder().from(from.storage.clone()).to(to.storage.clone()).journal(folder.path());
        let report = build().build().unwrap().run().await.unwrap();
        println!("{kind}: {} of {} objects copied by the server", report.server_copies, report.objects);
        assert_eq!((report.status, report.objects), (Status::Complete, 24), "{kind}: {:?}", report.failures);
        // Two fronts are two servers, and a disk has no such copies.
        let itself = !matches!(kind, "front" | "local");
        let copies = if itself { 24 } else { 0 };
        assert_eq!(report.server_copies, copies, "{kind}: {:?}", report.server_copy_refused);
        assert!(!itself || report.bytes_read == 0, "{kind}");
        assert_same(from.storage.as_ref(), to.storage.as_ref()).await;
        let copy = to.storage.head(&key("dressed a+b c"), HeadOptions::new().tags(true)).await.unwrap();
        assert_eq!((copy.attributes.content_type, copy.attributes.tags), (attributes.content_type, attributes.tags));
        for (name, value) in &attributes.user_metadata {
            assert_eq!(copy.attributes.user_metadata.get(name), Some(value), "{kind}");
        }
        let place = Location::from(to.storage.clone());
        let found = verify(report.manifest.as_ref().unwrap(), &place, Depth::Full).await.unwrap();
        assert!(found.is_proven(), "{kind}: {:?}", found.problems);
        let again = build().existing(Existing::IfDifferent).build().unwrap().run().await.unwrap();
        assert_eq!((again.objects, again.unchanged), (0, 24), "{kind}: what the server copied is the same");
        from.clear().await;
        to.clear().await;
    }
}
