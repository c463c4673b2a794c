//! Which replicas to start and to stop next.
//!
//! The numbers are those of a Kubernetes deployment. A replica that is terminating counts as
//! gone, except where all old ones must have ended before the first new one starts.

use lepton_core::deployment::UpdateStrategy;

/// A replica as the decision sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct View {
    /// Whether it is of the wanted revision.
    pub(super) current: bool,
    pub(super) ready: bool,
    pub(super) terminating: bool,
}

/// What to do next.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Step {
    /// How many replicas of the wanted revision to start.
    pub(super) start: usize,
    /// Which replicas to stop, by their indices in the list.
    pub(super) stop: Vec<usize>,
}

/// Decides on the next step. The replicas are in the order of their start.
pub(super) fn next(desired: usize, strategy: &UpdateStrategy, replicas: &[View]) -> Step {
    let of = |current: bool, ready: Option<bool>| {
        let chosen = move |view: &View| {
            !view.terminating && view.current == current && ready.is_none_or(|ready| view.ready == ready)
        };
        replicas.iter().enumerate().filter(move |(_, view)| chosen(view)).map(|(index, _)| index).collect::<Vec<_>>()
    };
    let (new, old) = (of(true, None), of(false, None));
    let mut step = Step::default();
    if new.len() > desired {
        // Those that are not ready first, then the youngest.
        let surplus = new.len() - desired;
        let youngest = of(true, Some(false)).into_iter().rev().chain(of(true, Some(true)).into_iter().rev());
        step.stop.extend(youngest.take(surplus));
    }
    let (surge, unavailable) = match strategy {
        UpdateStrategy::RollingUpdate { max_surge, max_unavailable } => {
            (*max_surge as usize, *max_unavailable as usize)
        }
        // Every other strategy is taken as the one that never runs both revisions.
        _ => {
            step.stop.extend(&old);
            let old_runs = replicas.iter().any(|view| !view.current);
            step.start = if old_runs { 0 } else { desired.saturating_sub(new.len()) };
            return step;
        }
    };
    let total = new.len().min(desired) + old.len();
    let room = desired.saturating_add(surge).saturating_sub(total);
    step.start = desired.saturating_sub(new.len()).min(room);
    let must_stay = desired.saturating_sub(unavailable);
    let not_ready = of(true, Some(false)).len();
    // Old replicas that are not ready go first: they serve nobody.
    let may_go = total.saturating_sub(must_stay).saturating_sub(not_ready);
    let broken: Vec<_> = of(false, Some(false)).into_iter().take(may_go).collect();
    let ready = of(true, Some(true)).len().min(desired) + of(false, Some(true)).len();
    let spare = ready.saturating_sub(must_stay).min(may_go.saturating_sub(broken.len()));
    step.stop.extend(broken);
    step.stop.extend(of(false, Some(true)).into_iter().take(spare));
    step
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn replica() -> impl Strategy<Value = View> {
        (any::<bool>(), any::<bool>(), any::<bool>()).prop_map(|(current, ready, terminating)| View {
            current,
            ready: ready && !terminating,
            terminating,
        })
    }

    fn strategy() -> impl Strategy<Value = UpdateStrategy> {
        let rolling = (0u32..4, 0u32..4).prop_filter("one of both is above 0", |both| *both != (0, 0));
        prop_oneof![
            Just(UpdateStrategy::Recreate),
            rolling
                .prop_map(|(max_surge, max_unavailable)| UpdateStrategy::RollingUpdate { max_surge, max_unavailable })
        ]
    }

    proptest! {
        #[test]
        fn a_step_keeps_enough_and_starts_no_more(
            desired in 0usize..6, strategy in strategy(), replicas in prop::collection::vec(replica(), 0..12)
        ) {
            let step = next(desired, &strategy, &replicas);
            let running = replicas.iter().filter(|view| !view.terminating).count();
            let ready = replicas.iter().filter(|view| view.ready).count();
            let stopped: std::collections::BTreeSet<_> = step.stop.iter().copied().collect();
            prop_assert_eq!(stopped.len(), step.stop.len());
            prop_assert!(stopped.iter().all(|index| !replicas[*index].terminating));
            if let UpdateStrategy::RollingUpdate { max_surge, max_unavailable } = strategy {
                let left = ready - stopped.iter().filter(|index| replicas[**index].ready).count();
                prop_assert!(left >= ready.min(desired.saturating_sub(max_unavailable as usize)));
                let after = running - stopped.len() + step.start;
                prop_assert!(step.start == 0 || after <= desired + max_surge as usize);
            } else {
                prop_assert!(step.start == 0 || replicas.iter().all(|view| view.current));
            }
        }

        #[test]
        fn steps_come_to_an_end(
            desired in 0usize..6, strategy in strategy(), mut replicas in prop::collection::vec(replica(), 0..12)
        ) {
            for _ in 0..100 {
                let step = next(desired, &strategy, &replicas);
                step.stop.iter().for_each(|index| replicas[*index].terminating = true);
                replicas.retain(|view| !view.terminating);
                replicas.iter_mut().filter(|view| view.current).for_each(|view| view.ready = true);
                let started = View { current: true, ready: false, terminating: false };
                replicas.extend(std::iter::repeat_n(started, step.start));
            }
            prop_assert!(replicas.len() == desired && replicas.iter().all(|view| view.current && view.ready));
        }
    }
}
