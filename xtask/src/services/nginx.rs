//! nginx: serves files with index pages, in HTML and in JSON, some of them behind a password.

use std::fs;

use anyhow::{Context as _, Result};

use super::service::{ACCESS_KEY, Place, SECRET_KEY, Service};
use crate::process::program;
use crate::tools::system_program;

pub(super) const SERVICE: Service = Service {
    name: "nginx",
    variable: "LEPTON_TEST_NGINX",
    ready: ("/ready", 200),
    install: || system_program("nginx", &["nginx-light"]),
    command: |Place { installed, data, address }| {
        // If the configuration cannot be written, nginx reports it.
        let _ = configure(data, address);
        let mut command = program(installed, &["-g", "daemon off;", "-c"]);
        command.arg(data.join("nginx.conf")).arg("-p").arg(data);
        command
    },
};

/// Serves the files below `objects`: what a test puts there is available immediately.
fn configure(data: &std::path::Path, address: &str) -> Result<()> {
    let shown = data.display();
    // `{PLAIN}` marks an unhashed password in htpasswd.
    fs::write(data.join("htpasswd"), format!("{ACCESS_KEY}:{{PLAIN}}{SECRET_KEY}\n"))?;
    let config = format!(
        "worker_processes 1;
pid {shown}/nginx.pid;
error_log {shown}/error.log warn;
events {{ worker_connections 512; }}
http {{
    access_log off;
    types {{ text/plain txt; }}
    default_type application/octet-stream;
    client_body_temp_path {shown}/t1; proxy_temp_path {shown}/t2; fastcgi_temp_path {shown}/t3;
    uwsgi_temp_path {shown}/t4; scgi_temp_path {shown}/t5;
    server {{
        listen {address};
        location = /ready {{ return 200; }}
        location /html/ {{ alias {shown}/objects/; autoindex on; }}
        location /json/ {{ alias {shown}/objects/; autoindex on; autoindex_format json; }}
        location /weak/ {{ alias {shown}/objects/; autoindex on; etag off; max_ranges 0; }}
        location /secret/ {{
            alias {shown}/objects/; autoindex on;
            auth_basic secret; auth_basic_user_file {shown}/htpasswd;
        }}
        location /moved/ {{ rewrite ^/moved/(.*)$ /html/$1 redirect; }}
    }}
}}
"
    );
    fs::write(data.join("nginx.conf"), config).context("cannot write the settings of nginx")
}
