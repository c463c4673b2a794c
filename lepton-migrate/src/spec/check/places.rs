//! Where the data sets are, and how their writers stop.

use lepton_core::data_set::Side;

use super::findings::Findings;
use crate::spec::data_set::{DataSetSpec, ScaleSpec, WritersSpec};
use crate::spec::migration::MigrationSpec;
use crate::spec::place::{Place, Relation};
use crate::spec::settings;

pub(super) fn check(spec: &MigrationSpec, found: &mut Findings) {
    let mut places: Vec<(&str, Side, Place)> = Vec::new();
    for set in &spec.data_sets {
        let subject = |field: &str| format!("data_sets[{}].{field}", set.name);
        if let Some(why) = settings::refusal(&set.settings) {
            found.error(subject("settings"), why, "leave the setting out");
        }
        for (side, url) in [(Side::A, &set.a), (Side::B, &set.b)] {
            let field = subject(&side.to_string().to_lowercase());
            check_url(url, &field, found);
            let place = Place::new(url);
            for (other, of, there) in &places {
                report(place.relation(there), &field, *other == set.name && *of != side, (other, *of), found);
            }
            places.push((&set.name, side, place));
        }
        if set.pause.is_zero() {
            found.warning(subject("pause"), "it is 0, with which both sides are listed without a pause", "use \"1s\"");
        }
        check_writers(set, found);
    }
}

/// Checks that a URL is there and holds no secret.
pub(super) fn check_url(url: &str, field: &str, found: &mut Findings) {
    if url.is_empty() {
        found.error(field, "it is empty", "name the place");
    } else if Place::new(url).has_secret() {
        found.error(
            field,
            "the URL holds a user name, a password or a key, where others can see it",
            "use a profile, the environment or a settings file",
        );
    }
}

fn report(relation: Relation, field: &str, same_set: bool, (other, side): (&str, Side), found: &mut Findings) {
    let message = match same_set {
        true => "a and b are the same place, or one contains the other".to_owned(),
        false => format!("it overlaps side {side} of the data set {other}"),
    };
    match relation {
        Relation::Apart => {}
        Relation::Overlap => found.error(field, message, "use places that lie apart"),
        Relation::PerhapsOverlap => {
            let message = format!("{message}, unless the profiles name different stores");
            found.warning(field, message, "name the `endpoint` in both URLs");
        }
    }
}

fn check_writers(set: &DataSetSpec, found: &mut Findings) {
    let subject = |field: &str| format!("data_sets[{}].writers{field}", set.name);
    match &set.writers {
        WritersSpec::RouterOnly => found.warning(
            subject(""),
            "that only the router sends writes is an assumption which nothing proves",
            "use `command` or `scale`, so that side A itself refuses writes",
        ),
        WritersSpec::Command { command, timeout, a, b } => {
            if command.first().is_none_or(String::is_empty) {
                found.error(subject(".command"), "it is empty", "name a program and its arguments");
            }
            if timeout.is_zero() {
                found.error(subject(".timeout"), "it is 0", "use a larger value");
            }
            for (field, own, application) in [(".a", &set.a, a), (".b", &set.b, b)] {
                check_url(application, &subject(field), found);
                if own == application {
                    found.error(
                        subject(field),
                        "it has Lepton's own credentials, which write while the application's are refused",
                        "name the credentials of the application, such as its profile",
                    );
                } else if !Place::new(own).is_same(&Place::new(application)) {
                    let message = "it is another place than that of the data set, so that its refusal proves nothing";
                    found.error(subject(field), message, "name the same place with the application's credentials");
                }
            }
        }
        WritersSpec::Scale { a, b } => {
            for (field, scale) in [(".scale.a", a), (".scale.b", b)] {
                check_scale(scale, &subject(field), found);
            }
            if (&a.deployment, &a.workload) == (&b.deployment, &b.workload) {
                found.error(subject(".scale"), "a and b are the same workload", "name the writer of each side");
            }
        }
    }
}

fn check_scale(scale: &ScaleSpec, field: &str, found: &mut Findings) {
    if scale.deployment.is_empty() || scale.workload.is_empty() {
        found.error(field, "`deployment` or `workload` is empty", "name the workload that writes");
    }
    if scale.replicas == 0 {
        found.error(field, "`replicas` is 0, with which it never writes", "name how many it has when it may write");
    }
}
