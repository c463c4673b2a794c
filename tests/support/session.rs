//! Temporary credentials of a real server.

use std::process::Command;

use super::places::given;
use super::{ACCESS_KEY, SECRET_KEY};

/// A MinIO session with permission for this action in a bucket: its key, secret and token. It
/// is requested with boto3, which is installed with moto.
pub fn session(endpoint: &str, bucket: &str, action: &str) -> Option<[String; 3]> {
    const SCRIPT: &str = "
import boto3, json, sys
_, endpoint, bucket, action = sys.argv
where = ['arn:aws:s3:::' + bucket, 'arn:aws:s3:::' + bucket + '/*']
may = [{'Effect': 'Allow', 'Action': [action], 'Resource': where}]
policy = json.dumps({'Version': '2012-10-17', 'Statement': may})
sts = boto3.client('sts', endpoint_url=endpoint, region_name='us-east-1')
role = 'arn:aws:iam::123456789012:role/lepton'
given = sts.assume_role(RoleArn=role, RoleSessionName='lepton', Policy=policy)['Credentials']
print(given['AccessKeyId'], given['SecretAccessKey'], given['SessionToken'])
";
    let mut command = Command::new(given("LEPTON_TEST_MOTO_PROGRAM")?);
    command.args(["-c", SCRIPT, endpoint, bucket, action]).env("NO_PROXY", "*");
    command.env("AWS_ACCESS_KEY_ID", ACCESS_KEY).env("AWS_SECRET_ACCESS_KEY", SECRET_KEY);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said = String::from_utf8(output.stdout).unwrap();
    let words: Vec<String> = said.split_whitespace().map(str::to_owned).collect();
    Some(words.try_into().unwrap())
}
