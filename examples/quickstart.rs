//! Moves everything from one place to another and proves it.
//!
//! `cargo run --bin quickstart -- ./photos s3://bucket/photos?endpoint=http://127.0.0.1:9000`

use lepton::{Status, Transfer, VerifyDepth, open, verify};

#[tokio::main]
async fn main() -> lepton::Result<()> {
    let places: Vec<String> = std::env::args().skip(1).collect();
    let [from, to] = places.as_slice() else {
        return Err(lepton::Error::invalid_input("usage: quickstart SOURCE DESTINATION"));
    };
    let destination = open(to).await?;
    let transfer =
        Transfer::builder().from(open(from).await?).to(destination.clone()).journal("quickstart.journal").build()?;
    let report = transfer.run().await?;
    println!("{:?}: {} objects, {} bytes in {:?}", report.status, report.objects, report.bytes, report.elapsed);
    for failure in &report.failures {
        println!("{} failed: {}", failure.key, failure.error);
    }
    if let (Status::Complete, Some(manifest)) = (report.status, &report.manifest) {
        let found = verify(manifest, &destination, VerifyDepth::Full).await?;
        println!("proven: {} ({})", found.is_proven(), manifest.display());
    }
    Ok(())
}
