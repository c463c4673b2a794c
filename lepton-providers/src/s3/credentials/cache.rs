//! Keeps credentials until shortly before they expire.

use std::sync::Arc;
use std::time::Duration;

use lepton_core::{Result, SharedEnv};
use tokio::sync::Mutex;

use super::{Credentials, CredentialsProvider};

/// How long before they expire new ones are asked for.
const EARLY: Duration = Duration::from_secs(300);

/// The credentials in use.
#[derive(Debug)]
pub(crate) struct CredentialsCache {
    provider: Arc<dyn CredentialsProvider>,
    env: SharedEnv,
    current: Mutex<Option<Arc<Credentials>>>,
}

impl CredentialsCache {
    pub(crate) fn new(provider: Arc<dyn CredentialsProvider>, env: SharedEnv) -> Self {
        Self { provider, env, current: Mutex::new(None) }
    }

    /// Credentials that are good for a while. While one caller asks for new
    /// ones the others wait for the same.
    pub(crate) async fn get(&self) -> Result<Arc<Credentials>> {
        let mut current = self.current.lock().await;
        if let Some(credentials) = current.as_ref().filter(|held| self.is_good(held, EARLY)) {
            return Ok(Arc::clone(credentials));
        }
        match self.provider.credentials().await {
            Ok(fresh) => Ok(Arc::clone(current.insert(Arc::new(fresh)))),
            Err(error) => match current.as_ref().filter(|held| self.is_good(held, Duration::ZERO)) {
                Some(held) => Ok(Arc::clone(held)),
                None => Err(error),
            },
        }
    }

    /// The server calls these expired: the next caller gets new ones.
    pub(crate) async fn expired(&self, refused: &Arc<Credentials>) {
        let mut current = self.current.lock().await;
        if current.as_ref().is_some_and(|held| Arc::ptr_eq(held, refused)) {
            *current = None;
        }
    }

    fn is_good(&self, credentials: &Credentials, for_another: Duration) -> bool {
        credentials.expires.is_none_or(|end| self.env.now() + for_another < end)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use async_trait::async_trait;
    use lepton_core::{EnvExt as _, Error, ErrorKind, SystemEnv};

    use super::*;

    #[derive(Debug)]
    struct Counting {
        calls: AtomicU32,
        lifetime: Duration,
        env: SharedEnv,
    }

    #[async_trait]
    impl CredentialsProvider for Counting {
        async fn credentials(&self) -> Result<Credentials> {
            let call = self.calls.fetch_add(1, Ordering::Relaxed);
            if call >= 3 {
                return Err(Error::new(ErrorKind::Unauthenticated, "none left"));
            }
            let expires = self.env.now() + self.lifetime;
            Ok(Credentials::new(format!("key-{call}"), "secret").expires(Some(expires)))
        }
    }

    fn cache(lifetime: Duration) -> (Arc<Counting>, CredentialsCache) {
        let env = SystemEnv::shared();
        let provider = Arc::new(Counting { calls: AtomicU32::new(0), lifetime, env: env.clone() });
        (provider.clone(), CredentialsCache::new(provider, env))
    }

    #[tokio::test]
    async fn asked_once_while_good_and_again_when_refused() {
        let (provider, cache) = cache(Duration::from_secs(3600));
        let first = cache.get().await.unwrap();
        assert!(Arc::ptr_eq(&first, &cache.get().await.unwrap()));
        cache.expired(&first).await;
        let second = cache.get().await.unwrap();
        assert_eq!(second.access_key_id, "key-1");
        cache.expired(&first).await;
        assert!(Arc::ptr_eq(&second, &cache.get().await.unwrap()));
        assert_eq!(provider.calls.load(Ordering::Relaxed), 2);
    }

    #[tokio::test]
    async fn asked_early_and_the_old_ones_serve_while_there_are_no_new_ones() {
        let (_, cache) = cache(Duration::from_secs(60));
        for expected in ["key-0", "key-1", "key-2", "key-2"] {
            assert_eq!(cache.get().await.unwrap().access_key_id, expected);
        }
    }

    #[tokio::test]
    async fn many_callers_ask_once() {
        let (provider, cache) = cache(Duration::from_secs(3600));
        let (cache, env) = (Arc::new(cache), SystemEnv::shared());
        let tasks: Vec<_> = (0..8)
            .map(|_| {
                let cache = Arc::clone(&cache);
                env.spawn_task(async move { cache.get().await.map(drop) })
            })
            .collect();
        for task in tasks {
            task.join().await.unwrap().unwrap();
        }
        assert_eq!(provider.calls.load(Ordering::Relaxed), 1);
    }
}
