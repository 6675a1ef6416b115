//! What to do about the certificates now.
//!
//! Two things must hold at every moment, whatever replicas do at the same time: a client that
//! trusts a bundle which is in place accepts what any replica serves, and replicas agree. The
//! second is the Secret's business: whoever changes it does so on the version that it looked at.
//! For the first, an authority is in every bundle before it signs, and stays until nothing that it
//! signed is served:
//!
//! 1. The new authority joins the old one in the Secret, and so in the bundles. What is served
//!    stays.
//! 2. Once all bundles have been seen with it for a while, it signs the server's new certificate.
//! 3. A day later the old authority goes.
//!
//! A server's certificate that nobody accepts any more is replaced at once: nothing is lost by it.

use jiff::{SignedDuration, Timestamp};

use crate::held::{Der, Held, certificates, text};
use crate::renewal::{AHEAD, FAREWELL, Kind, Renewal, SLOW_CLOCKS};
use crate::stored::Stored;

/// Decides, and remembers what one look at the cluster does not show.
#[derive(Debug)]
pub struct Keeper {
    dns_name: String,
    /// What was read last, and what it means.
    last: (Stored, Held),
    /// What was last fit to be served. Who empties the Secret gets new certificates without the
    /// old ones failing meanwhile.
    good: Option<(Stored, Held)>,
    /// Since when all bundles have been seen to hold exactly these authorities.
    in_place: Option<(Vec<Der>, Timestamp)>,
}

/// What to do.
#[derive(Clone, Debug)]
pub struct Decision {
    /// What to serve; `None` while there is nothing.
    pub serve: Option<Presented>,
    /// The bundle that belongs in all places; `None` while there is none.
    pub bundle: Option<Vec<u8>>,
    /// The places that do not have it, by their index.
    pub to_inject: Vec<usize>,
    /// What the Secret should hold instead of what it does. Once it is written, or somebody else
    /// was quicker, decide anew.
    pub renewal: Option<Renewal>,
    /// When to look again at the latest, even if nothing changes.
    pub again: Timestamp,
    /// When the server's certificate expires, if it is of use.
    pub server_expires: Option<Timestamp>,
    /// When the signing authority expires.
    pub authority_expires: Option<Timestamp>,
}

/// A server's certificate with its key, PEM both.
#[derive(Clone, PartialEq, Eq)]
pub struct Presented {
    /// The certificate, and those between it and the authority.
    pub chain: Vec<u8>,
    /// Its private key.
    pub key: Vec<u8>,
}

impl Keeper {
    /// For a server that clients call `dns_name`.
    pub fn new(dns_name: impl Into<String>) -> Self {
        Self {
            dns_name: dns_name.into(),
            last: Default::default(),
            good: None,
            in_place: None,
        }
    }

    /// What clients call the server.
    pub fn dns_name(&self) -> &str {
        &self.dns_name
    }

    /// Decides on what the Secret holds (nothing, when there is none) and on the bundles that are
    /// in place.
    ///
    /// The bundles must have been read *before* the Secret, and each injection must fail if its
    /// place has changed since; then no late replica can put back what a quicker one replaced.
    pub fn decide(&mut self, now: Timestamp, stored: &Stored, bundles: &[&[u8]]) -> Decision {
        self.read(now, stored);
        let held = &self.last.1;
        let trusted = held.trusted(now);
        // Written as in the Secret they are the same without reading.
        let as_stored = held.authorities.len() == trusted.len();
        let is_there = |bundle: &[u8]| {
            trusted.is_empty()
                || (as_stored && bundle == stored.ca_crt)
                || same(&certificates(bundle), &trusted)
        };
        let to_inject: Vec<usize> = (0..bundles.len())
            .filter(|&place| !is_there(bundles[place]))
            .collect();
        self.in_place = match self.in_place.take() {
            _ if !to_inject.is_empty() || trusted.is_empty() => None,
            Some((bundle, since)) if same(&bundle, &trusted) => Some((bundle, since.min(now))),
            _ => Some((trusted.clone(), now)),
        };
        // Nobody calls where there is no bundle to be put.
        let settled = match &self.in_place {
            _ if bundles.is_empty() => now,
            Some((_, since)) => *since + SETTLING,
            None => Timestamp::MAX,
        };
        let serve = self.good.as_ref().map(|(good, _)| Presented {
            chain: good.tls_crt.clone(),
            key: good.tls_key.clone(),
        });
        Decision {
            serve,
            bundle: (!trusted.is_empty()).then(|| text(&trusted)),
            to_inject,
            renewal: self.renewal(now, settled).map(Renewal),
            again: self.again(now, settled),
            server_expires: held.served_until(now),
            authority_expires: held.authorities.first().map(|first| first.valid.until),
        }
    }

    fn read(&mut self, now: Timestamp, stored: &Stored) {
        if self.last.0 != *stored {
            self.last = (stored.clone(), Held::read(stored, &self.dns_name));
        }
        let (stored, held) = &self.last;
        let known = self.good.as_ref().is_some_and(|(good, _)| good == stored);
        if !known && held.served_until(now).is_some() {
            self.good = Some((stored.clone(), held.clone()));
        }
    }

    fn renewal(&self, now: Timestamp, settled: Timestamp) -> Option<Kind> {
        let (stored, held) = &self.last;
        let soon = now + AHEAD;
        let lasts = |until: Option<Timestamp>| until.is_some_and(|until| until >= soon);
        let Some(first) = held.authorities.first() else {
            return Some(self.new_authority(now));
        };
        if !first.valid.is_at(now) || first.valid.until < soon {
            return Some(self.new_authority(now));
        }
        if lasts(held.signed_until(now)) {
            let alone = held.authorities.len() == 1;
            return (!alone && self.farewell()? <= now).then(|| Kind::Forget {
                needed: vec![first.der.clone()],
                stored: stored.clone(),
            });
        }
        if !held.can_sign {
            return Some(self.new_authority(now));
        }
        let useless = held.served_until(now).is_none();
        (useless || settled <= now).then(|| Kind::Server {
            authority: first.der.clone(),
            stored: stored.clone(),
        })
    }

    /// A new authority beside all that are of use still.
    fn new_authority(&self, now: Timestamp) -> Kind {
        let (stored, held) = &self.last;
        let mut trusted = held.trusted(now);
        let mut server = held.served_until(now).map(|_| stored);
        if server.is_none()
            && let Some((good, held)) = &self.good
            && held.served_until(now).is_some()
        {
            server = Some(good);
            for der in held.trusted(now) {
                if !trusted.contains(&der) {
                    trusted.push(der);
                }
            }
        }
        let server = server.map(|stored| Presented {
            chain: stored.tls_crt.clone(),
            key: stored.tls_key.clone(),
        });
        Kind::Authority { trusted, server }
    }

    /// When authorities other than the first may go.
    fn farewell(&self) -> Option<Timestamp> {
        let server = self.last.1.server.as_ref()?;
        Some(server.valid.from + SLOW_CLOCKS + FAREWELL)
    }

    /// The next moment at which something may be due.
    fn again(&self, now: Timestamp, settled: Timestamp) -> Timestamp {
        let held = &self.last.1;
        let ahead = |until: Timestamp| until.checked_sub(AHEAD).ok();
        let due = [
            Some(settled),
            self.farewell(),
            held.signed_until(now).and_then(ahead),
            held.authorities
                .first()
                .and_then(|first| ahead(first.valid.until)),
            held.served_until(now),
        ];
        let due = due.into_iter().flatten().filter(|at| *at > now);
        // A second later, since what is still valid at its last moment is not due yet.
        due.map(|at| {
            at.saturating_add(SignedDuration::from_secs(1))
                .unwrap_or(at)
        })
        .fold(now + CHECK, Timestamp::min)
    }
}

impl std::fmt::Debug for Presented {
    /// Without the key.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Presented")
            .field("chain", &String::from_utf8_lossy(&self.chain))
            .finish_non_exhaustive()
    }
}

/// Whether both hold the same authorities, in whatever order.
fn same(one: &[Der], other: &[Der]) -> bool {
    one.len() == other.len() && one.iter().all(|der| other.contains(der))
}

/// How often to look when nothing happens; upstream's.
const CHECK: SignedDuration = SignedDuration::from_hours(12);
/// How long all bundles must have been in place before the API servers, of which there may be
/// several that learn of it at different times, can be taken to use them.
const SETTLING: SignedDuration = SignedDuration::from_secs(60);

#[cfg(test)]
mod tests;
#[cfg(test)]
mod twelve_years;
