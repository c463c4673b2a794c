//! Selects the credentials: the first that are found in settings, environment, profile,
//! container and machine, in the order of the AWS SDKs.

use std::path::PathBuf;
use std::sync::Arc;

use lepton_core::{Error, ErrorKind, Result, SharedRuntime};
use secrecy::SecretString;

use super::container::Container;
use super::credentials::{Credentials, CredentialsProvider};
use super::imds::Instance;
use super::login;
use super::process::ProcessCredentials;
use super::profile::{Profile, ProfileFiles};
use super::sso::{self, Sso};
use super::sts::{self, AssumeRole, Role, WebIdentity};
use crate::auth::issuer::{Issuer, Issuers};
use crate::wire::values::Vars;

type Provider = Arc<dyn CredentialsProvider>;

/// Where credentials are searched for.
pub(crate) struct Chain<'a> {
    pub(crate) files: &'a ProfileFiles,
    pub(crate) var: Vars<'a>,
    pub(crate) issuers: Issuers<'a>,
    pub(crate) env: &'a SharedRuntime,
    pub(crate) region: &'a str,
    /// Whether this is an Amazon machine; the metadata service is queried only there.
    pub(crate) on_ec2: bool,
}

impl Chain<'_> {
    /// The credentials of the environment, otherwise of the profile, otherwise of the
    /// container or machine. A profile that was `named` is the only source.
    pub(crate) fn find(&self, profile: &str, named: bool) -> Result<Provider> {
        if !named && let Some(found) = self.environment()? {
            return Ok(found);
        }
        if let Some(found) = self.profile(profile, &mut Vec::new())? {
            return Ok(found);
        }
        let workload =
            if named { None } else { self.container()?.map_or_else(|| self.instance(false), |it| Ok(Some(it)))? };
        workload.ok_or_else(|| self.none_found())
    }

    fn environment(&self) -> Result<Option<Provider>> {
        let var = self.var;
        match (var("AWS_ACCESS_KEY_ID"), var("AWS_SECRET_ACCESS_KEY")) {
            (Some(id), Some(secret)) => {
                let token = var("AWS_SESSION_TOKEN").map(SecretString::from);
                return Ok(Some(Arc::new(Credentials::new(id, secret).session_token(token))));
            }
            (None, None) => {}
            _ => {
                let message = "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY go together; one is not set";
                return Err(Error::new(ErrorKind::Unauthenticated, message));
            }
        }
        let (Some(file), Some(arn)) = (var("AWS_WEB_IDENTITY_TOKEN_FILE"), var("AWS_ROLE_ARN")) else {
            return Ok(None);
        };
        let role = Role { arn, session: var("AWS_ROLE_SESSION_NAME"), external_id: None, seconds: None };
        self.web_identity(role, file.into()).map(Some)
    }

    /// `seen`: the profiles that led to this one.
    fn profile(&self, name: &str, seen: &mut Vec<String>) -> Result<Option<Provider>> {
        let Some(profile) = self.files.profile(name)? else { return Ok(None) };
        if profile.get("role_arn").is_some() {
            return self.role(&profile, seen).map(Some);
        }
        if ["sso_session", "sso_start_url"].iter().any(|name| profile.get(name).is_some()) {
            return self.sso(&profile).map(Some);
        }
        if let Some(found) = keys(&profile) {
            return Ok(Some(found));
        }
        let Some(command) = profile.get("credential_process") else { return Ok(None) };
        Ok(Some(Arc::new(ProcessCredentials::new(command, self.env.clone())?)))
    }

    fn role(&self, profile: &Profile, seen: &mut Vec<String>) -> Result<Provider> {
        let text = |name: &str| profile.get(name).map(str::to_owned);
        let wrong = |why: &str| Error::invalid_input(format!("profile {:?} {why}", profile.name));
        if profile.get("mfa_serial").is_some() {
            let message = format!("profile {:?} asks for a code (mfa_serial), which nobody could give", profile.name);
            return Err(Error::unsupported(message));
        }
        let role = Role {
            arn: text("role_arn").unwrap_or_default(),
            session: text("role_session_name").or_else(|| (self.var)("AWS_ROLE_SESSION_NAME")),
            external_id: text("external_id"),
            seconds: text("duration_seconds"),
        };
        if let Some(file) = profile.get("web_identity_token_file") {
            return self.web_identity(role, file.into());
        }
        let base = match (profile.get("source_profile"), profile.get("credential_source")) {
            (Some(source), None) if source == profile.name => {
                keys(profile).ok_or_else(|| wrong("is its own source_profile and has no keys"))?
            }
            (Some(source), None) => self.source(profile, source, seen)?,
            (None, Some(source)) => {
                self.place(source)?.ok_or_else(|| wrong("has a credential_source that gives none"))?
            }
            _ => return Err(wrong("has a role_arn and needs one of source_profile and credential_source")),
        };
        Ok(Arc::new(AssumeRole {
            issuer: (self.issuers)(true)?,
            address: sts::address(self.region, (self.var)("AWS_ENDPOINT_URL_STS").as_deref())?,
            region: self.region.to_owned(),
            role,
            base,
        }))
    }

    fn source(&self, profile: &Profile, source: &str, seen: &mut Vec<String>) -> Result<Provider> {
        seen.push(profile.name.clone());
        if seen.iter().any(|name| name == source) {
            let way = format!("{} → {source}", seen.join(" → "));
            return Err(Error::invalid_input(format!("profiles take their credentials from each other: {way}")));
        }
        let found = self.profile(source, seen)?;
        found.ok_or_else(|| {
            Error::invalid_input(format!(
                "profile {:?} has the source_profile {source:?}, which has none",
                profile.name
            ))
        })
    }

    /// The provider that `credential_source` names.
    fn place(&self, source: &str) -> Result<Option<Provider>> {
        match source {
            "Environment" => self.environment(),
            "EcsContainer" => self.container(),
            "Ec2InstanceMetadata" => self.instance(true),
            other => {
                let known = "Environment, EcsContainer and Ec2InstanceMetadata";
                Err(Error::invalid_input(format!("credential_source is {other:?}; known are {known}")))
            }
        }
    }

    fn web_identity(&self, role: Role, file: PathBuf) -> Result<Provider> {
        let address = sts::address(self.region, (self.var)("AWS_ENDPOINT_URL_STS").as_deref())?;
        Ok(Arc::new(WebIdentity { issuer: (self.issuers)(true)?, address, role, file }))
    }

    fn sso(&self, profile: &Profile) -> Result<Provider> {
        let wrong = |what: &str| Error::invalid_input(format!("profile {:?} has no {what}", profile.name));
        let session = profile.get("sso_session");
        let (key, region) = match session {
            Some(name) => {
                let section = self.files.section(&format!("sso-session {name}"))?;
                let section = section.ok_or_else(|| wrong("section for its sso_session"))?;
                (name.to_owned(), section.get("sso_region").cloned())
            }
            None => {
                let start = profile.get("sso_start_url").ok_or_else(|| wrong("sso_start_url"))?;
                (start.to_owned(), profile.get("sso_region").map(str::to_owned))
            }
        };
        let region = region.ok_or_else(|| wrong("sso_region"))?;
        let home = (self.var)("HOME").ok_or_else(|| wrong("login: HOME is not set"))?;
        let text = |name: &str| profile.get(name).map(str::to_owned).ok_or_else(|| wrong(name));
        Ok(Arc::new(Sso {
            address: sso::address(&region, "portal.sso", (self.var)("AWS_ENDPOINT_URL_SSO").as_deref())?,
            renewing: match session {
                Some(_) => Some(sso::address(&region, "oidc", (self.var)("AWS_ENDPOINT_URL_SSO_OIDC").as_deref())?),
                None => None,
            },
            account: text("sso_account_id")?,
            role: text("sso_role_name")?,
            file: PathBuf::from(home).join(".aws/sso/cache").join(login::file_name(&key)),
            profile: profile.name.clone(),
            issuer: (self.issuers)(true)?,
        }))
    }

    fn container(&self) -> Result<Option<Provider>> {
        let issuer = || -> Result<Issuer> { (self.issuers)(false) };
        Ok(Container::new(issuer, self.var)?.map(|found| Arc::new(found) as Provider))
    }

    /// `declared`: a profile states that the machine has a role.
    fn instance(&self, declared: bool) -> Result<Option<Provider>> {
        if !declared && !self.on_ec2 && (self.var)("AWS_EC2_METADATA_SERVICE_ENDPOINT").is_none() {
            return Ok(None);
        }
        Ok(Instance::new((self.issuers)(false)?, self.var)?.map(|found| Arc::new(found) as Provider))
    }

    fn none_found(&self) -> Error {
        let message = format!(
            "no credentials were found in the settings, in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, in {}, nor \
             from the container or the machine; for a public bucket set anonymous=true",
            self.files.describe()
        );
        Error::new(ErrorKind::Unauthenticated, message)
    }
}

/// The keys of a profile.
fn keys(profile: &Profile) -> Option<Provider> {
    let (id, secret) = (profile.get("aws_access_key_id")?, profile.secret("aws_secret_access_key")?);
    Some(Arc::new(Credentials::new(id, secret).session_token(profile.secret("aws_session_token"))))
}

/// Whether the machine identifies itself as an Amazon one.
pub(crate) fn on_ec2() -> bool {
    is_ec2(&|file| std::fs::read_to_string(file).ok())
}

/// "Detect whether a host is an EC2 instance": older machines, on Xen, use other files.
fn is_ec2(read: &dyn Fn(&str) -> Option<String>) -> bool {
    let dmi_contains =
        |file: &str, so: fn(&str) -> bool| read(file).is_some_and(|text| so(&text.trim().to_ascii_lowercase()));
    dmi_contains("/sys/devices/virtual/dmi/id/sys_vendor", |vendor| vendor == "amazon ec2")
        || dmi_contains("/sys/devices/virtual/dmi/id/bios_version", |version| version.contains("amazon"))
        || dmi_contains("/sys/hypervisor/uuid", |id| id.starts_with("ec2"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machines_of_amazon_are_known() {
        let on = |file: &'static str, text: &'static str| is_ec2(&|path| (path == file).then(|| text.to_owned()));
        assert!(on("/sys/devices/virtual/dmi/id/sys_vendor", "Amazon EC2\n"));
        assert!(on("/sys/devices/virtual/dmi/id/bios_version", "4.11.amazon\n"));
        assert!(on("/sys/hypervisor/uuid", "EC2E1916-9099-7CAF-FD21-012345ABCDEF\n"));
        assert!(!on("/sys/devices/virtual/dmi/id/sys_vendor", "QEMU\n"));
        assert!(!on("/sys/hypervisor/uuid", "45e12aec-dcd1-b213-94ed-012345abcdef\n"));
    }
}
