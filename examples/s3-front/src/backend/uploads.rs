//! Multipart uploads.

use std::collections::BTreeMap;

use futures_util::{StreamExt as _, TryStreamExt as _};
use lepton_core::{
    ChecksumAlgorithm, CompleteOptions, CreateUploadOptions, KeyPrefix, ObjectKey, PartInfo, PartSpec, SharedStorage,
    Upload, UploadId, UploadInfo,
};
use s3s::dto::{
    AbortMultipartUploadInput, AbortMultipartUploadOutput, ChecksumType, CompleteMultipartUploadInput,
    CompleteMultipartUploadOutput, CompletedPart, CreateMultipartUploadInput, CreateMultipartUploadOutput, Initiator,
    ListMultipartUploadsInput, ListMultipartUploadsOutput, ListPartsInput, ListPartsOutput, MultipartUpload, Part,
    UploadPartInput, UploadPartOutput,
};
use s3s::{S3Request, S3Response, S3Result, s3_error};

use super::attributes::{full_checksum, refuse_unsupported, requested, s3_etag};
use super::error::IntoS3 as _;
use super::ingest::{echo, ingest};
use super::list::Names;
use super::{Backend, condition, signed};

/// The largest page of parts or uploads, as in Amazon S3.
const PAGE: i32 = 1000;
/// The highest part number in S3.
const LAST_PART: i32 = 10_000;

impl Backend {
    pub(super) async fn create_upload(
        &self,
        request: S3Request<CreateMultipartUploadInput>,
    ) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
        refuse_unsupported(&request.headers)?;
        let input = request.input;
        let bucket = self.bucket(&input.bucket)?;
        let key = bucket.key(&input.key)?;
        let options = CreateUploadOptions::new()
            .attributes(requested(&request.headers, input.metadata)?)
            .storage_class(input.storage_class.map(|class| class.as_str().to_owned()));
        // Recorded before the upload is created, so that it is found even if this reply is
        // lost.
        bucket.with_upload_keys(|keys| keys.insert(key.clone()));
        let upload = bucket.multipart().create(&key, options).await.s3()?;
        Ok(S3Response::new(CreateMultipartUploadOutput {
            bucket: Some(input.bucket),
            key: in_xml(&input.key),
            upload_id: Some(upload.id.as_str().to_owned()),
            checksum_algorithm: input.checksum_algorithm,
            checksum_type: input.checksum_type,
            ..Default::default()
        }))
    }

    pub(super) async fn put_part(&self, request: S3Request<UploadPartInput>) -> S3Result<S3Response<UploadPartOutput>> {
        refuse_unsupported(&request.headers)?;
        let input = request.input;
        let bucket = self.bucket(&input.bucket)?;
        let upload = Upload::new(bucket.key(&input.key)?, UploadId::new(input.upload_id));
        let number = part_number(input.part_number)?;
        let ingested = ingest(input.body, &request.headers, request.trailing_headers).await?;
        // S3 requests do not state the offset of a part in its object.
        let spec = PartSpec::new(number, 0..ingested.body.len());
        let receipt = bucket.multipart().upload_part(&upload, spec, ingested.body).await.s3()?;
        let output = UploadPartOutput { e_tag: Some(s3_etag(&receipt.etag)), ..Default::default() };
        let mut response = S3Response::new(output);
        echo(&ingested.verified, &mut response.headers);
        Ok(response)
    }

    pub(super) async fn parts(&self, input: ListPartsInput) -> S3Result<S3Response<ListPartsOutput>> {
        let bucket = self.bucket(&input.bucket)?;
        let upload = Upload::new(bucket.key(&input.key)?, UploadId::new(input.upload_id.clone()));
        let limit = input.max_parts.unwrap_or(PAGE).clamp(0, PAGE);
        let after = input.part_number_marker.unwrap_or(0);
        let count = usize::try_from(limit).unwrap_or_default();
        let behind = |part: &PartInfo| std::future::ready(i64::from(part.number) > i64::from(after));
        let listed = bucket.multipart().list_parts(&upload).try_filter(behind);
        let mut listed: Vec<PartInfo> = listed.take(count + 1).try_collect().await.s3()?;
        let more = listed.len() > count;
        listed.truncate(count);
        let last = listed.last().and_then(|part| i32::try_from(part.number).ok());
        Ok(S3Response::new(ListPartsOutput {
            bucket: Some(input.bucket),
            key: in_xml(&input.key),
            upload_id: Some(input.upload_id),
            max_parts: Some(limit),
            part_number_marker: Some(after),
            next_part_number_marker: last,
            is_truncated: Some(more),
            parts: Some(listed.iter().map(part_of).collect()),
            ..Default::default()
        }))
    }

    pub(super) async fn complete(
        &self,
        input: CompleteMultipartUploadInput,
    ) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
        let bucket = self.bucket(&input.bucket)?;
        let (storage, facet) = (&bucket.storage, bucket.multipart());
        let key = bucket.key(&input.key)?;
        let upload = Upload::new(key.clone(), UploadId::new(input.upload_id));
        let wanted = input.multipart_upload.and_then(|upload| upload.parts).unwrap_or_default();
        let held: BTreeMap<u32, PartInfo> =
            facet.list_parts(&upload).map_ok(|part| (part.number, part)).try_collect().await.s3()?;
        let parts = chosen(&wanted, &held, storage)?;
        let size: u64 = parts.iter().map(|part| part.size).sum();
        if input.mpu_object_size.is_some_and(|stated| stated != signed(size)) {
            return Err(s3_error!(InvalidRequest, "the parts have {size} bytes, not what x-amz-mp-object-size says"));
        }
        check_whole(input.checksum_crc64nvme.as_deref(), &parts)?;
        let condition = condition::of_write(storage, &key, input.if_match.as_ref(), input.if_none_match.as_ref());
        let options = CompleteOptions::new().precondition(condition.await?);
        let receipt = facet.complete(&upload, parts, options).await.s3()?;
        let whole = receipt.checksums.iter().find_map(|c| full_checksum(Some(c), ChecksumAlgorithm::Crc64Nvme));
        let output = CompleteMultipartUploadOutput {
            key: in_xml(&input.key),
            bucket: Some(input.bucket),
            e_tag: receipt.etag.as_ref().map(s3_etag),
            version_id: receipt.version.map(|version| version.as_str().to_owned()),
            checksum_type: whole.as_ref().map(|_| ChecksumType::from_static(ChecksumType::FULL_OBJECT)),
            checksum_crc64nvme: whole,
            ..Default::default()
        };
        Ok(S3Response::new(output))
    }

    pub(super) async fn abort(
        &self,
        input: AbortMultipartUploadInput,
    ) -> S3Result<S3Response<AbortMultipartUploadOutput>> {
        let bucket = self.bucket(&input.bucket)?;
        let facet = bucket.multipart();
        let upload = Upload::new(bucket.key(&input.key)?, UploadId::new(input.upload_id));
        // A storage treats an unknown upload as aborted; S3 reports an error.
        facet.list_parts(&upload).next().await.transpose().s3()?;
        facet.abort(&upload).await.s3()?;
        Ok(S3Response::new(AbortMultipartUploadOutput::default()))
    }

    pub(super) async fn uploads(
        &self,
        input: ListMultipartUploadsInput,
    ) -> S3Result<S3Response<ListMultipartUploadsOutput>> {
        let bucket = self.bucket(&input.bucket)?;
        let facet = bucket.multipart();
        let names = Names::new(input.encoding_type.as_ref())?;
        if input.delimiter.as_ref().is_some_and(|delimiter| !delimiter.is_empty()) {
            return Err(s3_error!(NotImplemented, "this server lists uploads without a delimiter"));
        }
        let prefix = KeyPrefix::from(input.prefix.as_deref().unwrap_or_default());
        let mut keys = bucket.with_upload_keys(|keys| keys.clone());
        // This also finds an upload that was started before this server.
        keys.extend(ObjectKey::new(prefix.as_bytes().to_vec()));
        let marker = (
            input.key_marker.as_deref().unwrap_or_default().as_bytes(),
            input.upload_id_marker.as_deref().unwrap_or_default(),
        );
        let mut found: Vec<UploadInfo> = Vec::new();
        for key in keys.iter().filter(|key| prefix.matches(key) && key.as_bytes() >= marker.0) {
            let mut of_key: Vec<UploadInfo> = facet.list_uploads(key).try_collect().await.s3()?;
            of_key.sort_by(|a, b| a.upload.id.cmp(&b.upload.id));
            found.extend(of_key.into_iter().filter(|info| is_behind(&info.upload, marker)));
        }
        let limit = input.max_uploads.unwrap_or(PAGE).clamp(0, PAGE);
        let count = usize::try_from(limit).unwrap_or_default();
        let more = found.len() > count;
        found.truncate(count);
        let last = found.last().filter(|_| more).map(|info| &info.upload);
        Ok(S3Response::new(ListMultipartUploadsOutput {
            bucket: Some(input.bucket),
            prefix: Some(names.text(input.prefix.as_deref().unwrap_or_default())),
            key_marker: Some(names.text(input.key_marker.as_deref().unwrap_or_default())),
            upload_id_marker: input.upload_id_marker.clone(),
            max_uploads: Some(limit),
            is_truncated: Some(more),
            next_key_marker: last.map(|upload| names.bytes(upload.key.as_bytes())).transpose()?,
            next_upload_id_marker: last.map(|upload| upload.id.as_str().to_owned()),
            uploads: Some(found.into_iter().map(|info| shown(info, &names)).collect::<S3Result<_>>()?),
            encoding_type: input.encoding_type,
            ..Default::default()
        }))
    }
}

/// A key that a reply only repeats: omitted if XML cannot represent it, so that the reply can
/// be parsed.
fn in_xml(key: &str) -> Option<String> {
    let written = |c: char| matches!(c, '\t' | '\n' | '\r' | ' '..) && !matches!(c, '\u{fffe}' | '\u{ffff}');
    key.chars().all(written).then(|| key.to_owned())
}

pub(super) fn part_number(number: i32) -> S3Result<u32> {
    let allowed = u32::try_from(number).ok().filter(|_| (1..=LAST_PART).contains(&number));
    allowed.ok_or_else(|| s3_error!(InvalidArgument, "a part number is from 1 to {LAST_PART}, not {number}"))
}

fn part_of(part: &PartInfo) -> Part {
    Part {
        part_number: i32::try_from(part.number).ok(),
        size: Some(signed(part.size)),
        e_tag: Some(s3_etag(&part.etag)),
        checksum_crc64nvme: full_checksum(part.checksum.as_ref(), ChecksumAlgorithm::Crc64Nvme),
        checksum_crc32c: full_checksum(part.checksum.as_ref(), ChecksumAlgorithm::Crc32c),
        checksum_crc32: full_checksum(part.checksum.as_ref(), ChecksumAlgorithm::Crc32),
        checksum_sha256: full_checksum(part.checksum.as_ref(), ChecksumAlgorithm::Sha256),
        ..Default::default()
    }
}

/// The parts that the client names, as they are stored.
fn chosen(
    wanted: &[CompletedPart],
    held: &BTreeMap<u32, PartInfo>,
    storage: &SharedStorage,
) -> S3Result<Vec<PartInfo>> {
    let mut parts: Vec<PartInfo> = Vec::new();
    for part in wanted {
        let number = part_number(part.part_number.unwrap_or_default())?;
        if parts.last().is_some_and(|last| last.number >= number) {
            return Err(s3_error!(InvalidPartOrder, "part {number} does not ascend"));
        }
        let named = |held: &&PartInfo| part.e_tag.as_ref().is_none_or(|etag| etag.value() == held.etag.unquoted());
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

fn shown(info: UploadInfo, names: &Names) -> S3Result<MultipartUpload> {
    let initiator = |name| Initiator { id: Some(name), ..Default::default() };
    Ok(MultipartUpload {
        key: Some(names.bytes(info.upload.key.as_bytes())?),
        upload_id: Some(info.upload.id.as_str().to_owned()),
        initiated: info.initiated.map(Into::into),
        initiator: info.initiator.map(initiator),
        ..Default::default()
    })
}
