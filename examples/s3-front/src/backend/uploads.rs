//! Multipart uploads.

use std::collections::BTreeMap;

use futures_util::{StreamExt as _, TryStreamExt as _};
use http::header::ETAG;
use http::{Response, StatusCode};
use lepton_core::{
    ChecksumAlgorithm, CompleteOptions, CreateUploadOptions, ETag, KeyPrefix, ObjectKey, PartInfo, PartSpec,
    SharedStorage, Upload, UploadInfo,
};

use super::attributes::{full_checksum, insert, quoted, refuse_unsupported, requested};
use super::list::{Names, limit};
use super::{Backend, condition};
use crate::call::{Call, part_number};
use crate::payload::Payload;
use crate::protocol::{self, Body, Element, IntoS3 as _, S3Result, Xml, s3_error};

impl Backend {
    pub(super) async fn create_upload(&self, call: Call<'_>) -> S3Result<Response<Body>> {
        refuse_unsupported(call)?;
        let bucket = self.bucket(call.bucket())?;
        let key = bucket.key(call.key()?)?;
        let options = CreateUploadOptions::new()
            .attributes(requested(call)?)
            .storage_class(call.header("x-amz-storage-class")?.map(str::to_owned));
        // Recorded before the upload is created, so that it is found even if this reply is
        // lost.
        bucket.with_upload_keys(|keys| keys.insert(key.clone()));
        let upload = bucket.multipart().create(&key, options).await.s3()?;
        let mut response = protocol::with_document(Xml::document("InitiateMultipartUploadResult", |xml| {
            xml.text("Bucket", call.bucket());
            xml.optional("Key", in_xml(&key));
            xml.text("UploadId", &upload.id);
        }));
        for name in ["x-amz-checksum-algorithm", "x-amz-checksum-type"] {
            insert(&mut response, name, call.header(name)?);
        }
        Ok(response)
    }

    pub(super) async fn put_part(&self, call: Call<'_>, payload: Payload) -> S3Result<Response<Body>> {
        refuse_unsupported(call)?;
        let bucket = self.bucket(call.bucket())?;
        let upload = call.upload(bucket.key(call.key()?)?);
        let number = call.part_number()?;
        let ingested = payload.ingest(call.headers).await?;
        // S3 requests do not state the offset of a part in its object.
        let spec = PartSpec::new(number, 0..ingested.body.len());
        let receipt = bucket.multipart().upload_part(&upload, spec, ingested.body.clone()).await.s3()?;
        let mut response = protocol::empty(StatusCode::OK);
        insert(&mut response, ETAG, Some(quoted(&receipt.etag)));
        ingested.echo(response.headers_mut());
        Ok(response)
    }

    pub(super) async fn parts(&self, call: Call<'_>) -> S3Result<Response<Body>> {
        let bucket = self.bucket(call.bucket())?;
        let upload = call.upload(bucket.key(call.key()?)?);
        let limit = limit(call, "max-parts")?;
        let after: u32 = call.query.parsed("part-number-marker")?.unwrap_or(0);
        let behind = |part: &PartInfo| std::future::ready(part.number > after);
        let listed = bucket.multipart().list_parts(&upload).try_filter(behind);
        let mut listed: Vec<PartInfo> = listed.take(limit + 1).try_collect().await.s3()?;
        let more = listed.len() > limit;
        listed.truncate(limit);
        Ok(protocol::with_document(Xml::document("ListPartsResult", |xml| {
            xml.text("Bucket", call.bucket());
            xml.optional("Key", in_xml(&upload.key));
            xml.text("UploadId", &upload.id);
            xml.text("PartNumberMarker", after);
            xml.optional("NextPartNumberMarker", listed.last().map(|part| part.number));
            xml.text("MaxParts", limit);
            xml.text("IsTruncated", more);
            listed.iter().for_each(|part| xml.element("Part", |xml| write_part(part, xml)));
        })))
    }

    pub(super) async fn complete(&self, call: Call<'_>, payload: Payload) -> S3Result<Response<Body>> {
        refuse_checksums(call)?;
        let bucket = self.bucket(call.bucket())?;
        let (storage, facet) = (&bucket.storage, bucket.multipart());
        let key = bucket.key(call.key()?)?;
        let upload = call.upload(key.clone());
        let document = payload.document_about_object(call.headers).await?;
        let wanted = Element::parse(&document, "CompleteMultipartUpload")?;
        let held: BTreeMap<u32, PartInfo> =
            facet.list_parts(&upload).map_ok(|part| (part.number, part)).try_collect().await.s3()?;
        let parts = chosen(&wanted, &held, storage)?;
        let size: u64 = parts.iter().map(|part| part.size).sum();
        if call.parsed("x-amz-mp-object-size")?.is_some_and(|stated: u64| stated != size) {
            return Err(s3_error!(InvalidRequest, "the parts have {size} bytes, not what x-amz-mp-object-size says"));
        }
        check_whole(call.header("x-amz-checksum-crc64nvme")?, &parts)?;
        let condition = condition::of_write(storage, &key, call).await?;
        let options = CompleteOptions::new().precondition(condition);
        let receipt = facet.complete(&upload, parts, options).await.s3()?;
        let whole = receipt.checksums.iter().find_map(|c| full_checksum(Some(c), ChecksumAlgorithm::Crc64Nvme));
        let mut response = protocol::with_document(Xml::document("CompleteMultipartUploadResult", |xml| {
            xml.text("Bucket", call.bucket());
            xml.optional("Key", in_xml(&key));
            xml.optional("ETag", receipt.etag.as_ref().map(quoted));
            xml.optional("ChecksumType", whole.as_ref().map(|_| "FULL_OBJECT"));
            xml.optional("ChecksumCRC64NVME", whole);
        }));
        insert(&mut response, "x-amz-version-id", receipt.version.as_ref());
        Ok(response)
    }

    pub(super) async fn abort(&self, call: Call<'_>) -> S3Result<Response<Body>> {
        let bucket = self.bucket(call.bucket())?;
        let facet = bucket.multipart();
        let upload = call.upload(bucket.key(call.key()?)?);
        // A storage treats an unknown upload as aborted; S3 reports an error.
        facet.list_parts(&upload).next().await.transpose().s3()?;
        facet.abort(&upload).await.s3()?;
        Ok(protocol::empty(StatusCode::NO_CONTENT))
    }

    pub(super) async fn uploads(&self, call: Call<'_>) -> S3Result<Response<Body>> {
        let bucket = self.bucket(call.bucket())?;
        let facet = bucket.multipart();
        let names = Names::of(call)?;
        if call.query.text("delimiter")?.is_some_and(|delimiter| !delimiter.is_empty()) {
            return Err(s3_error!(NotImplemented, "this server lists uploads without a delimiter"));
        }
        let text = |name| Ok(call.query.text(name)?.unwrap_or_default());
        let (prefix, key_marker, id_marker) = (text("prefix")?, text("key-marker")?, text("upload-id-marker")?);
        let marker = (key_marker.as_bytes(), id_marker.as_str());
        let within = KeyPrefix::from(prefix.as_str());
        let mut keys = bucket.with_upload_keys(|keys| keys.clone());
        // This also finds an upload that was started before this server.
        keys.extend(ObjectKey::try_from(prefix.as_str()));
        let mut found: Vec<UploadInfo> = Vec::new();
        for key in keys.iter().filter(|key| within.matches(key) && key.as_bytes() >= marker.0) {
            let mut of_key: Vec<UploadInfo> = facet.list_uploads(key).try_collect().await.s3()?;
            of_key.sort_by(|a, b| a.upload.id.cmp(&b.upload.id));
            found.extend(of_key.into_iter().filter(|info| is_behind(&info.upload, marker)));
        }
        let limit = limit(call, "max-uploads")?;
        let more = found.len() > limit;
        found.truncate(limit);
        let found = found.into_iter().map(|info| Ok((names.bytes(info.upload.key.as_bytes())?, info)));
        let found: Vec<_> = found.collect::<S3Result<_>>()?;
        Ok(protocol::with_document(Xml::document("ListMultipartUploadsResult", |xml| {
            xml.text("Bucket", call.bucket());
            xml.text("Prefix", names.text(&prefix));
            xml.text("KeyMarker", names.text(&key_marker));
            xml.text("UploadIdMarker", &id_marker);
            xml.text("MaxUploads", limit);
            names.write(xml);
            xml.text("IsTruncated", more);
            if let Some((name, last)) = found.last().filter(|_| more) {
                xml.text("NextKeyMarker", name);
                xml.text("NextUploadIdMarker", &last.upload.id);
            }
            found.iter().for_each(|(name, info)| xml.element("Upload", |xml| write_upload(name, info, xml)));
        })))
    }
}

/// A key that a reply only repeats: omitted if XML cannot represent it, so that the reply can
/// be parsed.
fn in_xml(key: &ObjectKey) -> Option<&str> {
    let written = |c: char| matches!(c, '\t' | '\n' | '\r' | ' '..) && !matches!(c, '\u{fffe}' | '\u{ffff}');
    key.as_str().filter(|key| key.chars().all(written))
}

fn write_part(part: &PartInfo, xml: &mut Xml) {
    xml.text("PartNumber", part.number);
    xml.text("ETag", quoted(&part.etag));
    xml.text("Size", part.size);
    for (name, algorithm) in [
        ("ChecksumCRC64NVME", ChecksumAlgorithm::Crc64Nvme),
        ("ChecksumCRC32C", ChecksumAlgorithm::Crc32c),
        ("ChecksumCRC32", ChecksumAlgorithm::Crc32),
        ("ChecksumSHA256", ChecksumAlgorithm::Sha256),
    ] {
        xml.optional(name, full_checksum(part.checksum.as_ref(), algorithm));
    }
}

fn write_upload(name: &str, info: &UploadInfo, xml: &mut Xml) {
    xml.text("Key", name);
    xml.text("UploadId", &info.upload.id);
    if let Some(initiator) = &info.initiator {
        xml.element("Initiator", |xml| xml.text("ID", initiator));
    }
    if let Some(time) = info.initiated {
        xml.time("Initiated", time);
    }
}

/// The parts that the client names, as they are stored.
fn chosen(wanted: &Element, held: &BTreeMap<u32, PartInfo>, storage: &SharedStorage) -> S3Result<Vec<PartInfo>> {
    let mut parts: Vec<PartInfo> = Vec::new();
    for part in wanted.children("Part") {
        let number = part.child("PartNumber").and_then(|number| number.trim().parse().ok());
        let number = part_number(Some(number.ok_or_else(|| s3_error!(MalformedXML, "a part has no number"))?))?;
        if parts.last().is_some_and(|last| last.number >= number) {
            return Err(s3_error!(InvalidPartOrder, "part {number} does not ascend"));
        }
        let etag = part.child("ETag").map(|etag| ETag::new(etag.trim()));
        let named = |held: &&PartInfo| etag.as_ref().is_none_or(|etag| etag.unquoted() == held.etag.unquoted());
        match held.get(&number).filter(named) {
            Some(held) => parts.push(held.clone()),
            None => return Err(s3_error!(InvalidPart, "part {number} is not there or has another ETag")),
        }
    }
    let smallest = storage.capabilities().multipart.map_or(0, |limits| limits.min_part);
    match parts.as_slice() {
        [] => Err(s3_error!(MalformedXML, "a multipart upload is completed with at least one part")),
        [all_but_last @ .., _] => match all_but_last.iter().find(|part| part.size < smallest) {
            Some(part) => Err(s3_error!(EntityTooSmall, "part {} has {} bytes", part.number, part.size)),
            None => Ok(parts),
        },
    }
}

/// Refuses the checksums of a whole object that this server cannot compare.
fn refuse_checksums(call: Call<'_>) -> S3Result<()> {
    const ALLOWED: [&str; 3] = ["crc64nvme", "algorithm", "type"];
    let mut stated = call.headers.keys().filter_map(|name| name.as_str().strip_prefix("x-amz-checksum-"));
    match stated.find(|name| !ALLOWED.contains(name)) {
        Some(name) => Err(s3_error!(NotImplemented, "this server compares no {name} of a whole object")),
        None => Ok(()),
    }
}

/// Compares the CRC-64/NVME of the whole object, if the client states it and the storage holds
/// that of each part.
fn check_whole(stated: Option<&str>, parts: &[PartInfo]) -> S3Result<()> {
    let Some(stated) = stated else { return Ok(()) };
    let of_part = |part: &PartInfo| {
        let checksum = part.checksum.as_ref().filter(|c| c.algorithm == ChecksumAlgorithm::Crc64Nvme)?;
        Some(u64::from_be_bytes(checksum.value.as_slice().try_into().ok()?))
    };
    let combined = parts.iter().try_fold(0, |crc, part| {
        Some(lepton_core::combine_crc(lepton_core::Crc::Crc64Nvme, crc, of_part(part)?, part.size))
    });
    let Some(combined) = combined else {
        return Err(s3_error!(NotImplemented, "the storage keeps no CRC-64/NVME of parts to compare the whole with"));
    };
    let value = lepton_core::StoredChecksum::full(ChecksumAlgorithm::Crc64Nvme, combined.to_be_bytes());
    match full_checksum(Some(&value), ChecksumAlgorithm::Crc64Nvme) {
        Some(computed) if computed == stated => Ok(()),
        _ => Err(s3_error!(BadDigest, "the parts together do not have the CRC-64/NVME that the request states")),
    }
}

fn is_behind(upload: &Upload, (key, id): (&[u8], &str)) -> bool {
    let of = upload.key.as_bytes();
    of > key || (of == key && !id.is_empty() && upload.id.as_str() > id)
}
