//! What changes with time: expiry, revocation, keys that come and go, refresh, tickets.

use std::time::Duration;

use weir_ring::token::Member;

use super::*;
use crate::limits::Revocation;
use crate::seal::Seal;

/// An authenticator with its configuration and a clock.
struct Gate {
    auth: Auth,
    authenticator: Authenticator,
}

impl Gate {
    fn new() -> Gate {
        let auth = auth();
        Gate { authenticator: Authenticator::new(&auth, 1), auth }
    }

    fn ask(&mut self, token: &str, seconds: u64) -> Result<Arc<Principal>, Denied> {
        self.authenticator.authenticate(Credential::Bearer(token), &self.auth, at(seconds))
    }
}

#[test]
fn a_token_is_good_from_nbf_to_exp_give_or_take_the_leeway() {
    let mut gate = Gate::new();
    let token = token(&with(json!({"nbf": NOW, "exp": NOW + 60})));
    for (seconds, verdict) in [
        (NOW - 6, Err(Denied::NotYet)),
        (NOW - 5, Ok(())),
        (NOW + 64, Ok(())),
        (NOW + 65, Err(Denied::Expired)),
        (NOW - 6, Err(Denied::NotYet)),
    ] {
        assert_eq!(gate.ask(&token, seconds).map(drop), verdict, "{}", seconds as i64 - NOW as i64);
    }
    let principal = gate.ask(&token, NOW).expect("right");
    assert_eq!(gate.authenticator.still(&principal, Wall((NOW + 65) * 1_000 - 1)), Ok(()));
    assert_eq!(gate.authenticator.still(&principal, Wall((NOW + 65) * 1_000)), Err(Denied::Expired));
}

#[test]
fn a_token_that_came_before_is_the_same_principal() {
    let mut gate = Gate::new();
    let token = token(&claims());
    let first = gate.ask(&token, NOW).expect("right");
    assert!(Arc::ptr_eq(&first, &gate.ask(&token, NOW + 299).expect("right")));
    let later = gate.ask(&token, NOW + 300).expect("right");
    assert!(!Arc::ptr_eq(&first, &later), "after five minutes it is checked again");
    assert_eq!(first, later);
}

#[test]
fn a_revoked_token_is_revoked_though_it_was_checked() {
    let mut gate = Gate::new();
    let token = token(&claims());
    let principal = gate.ask(&token, NOW).expect("right");
    gate.authenticator.revoke("token-1", Wall((NOW + 9_999) * 1_000), at(NOW).wall);
    assert_eq!(gate.ask(&token, NOW), Err(Denied::Revoked));
    assert_eq!(gate.authenticator.still(&principal, at(NOW).wall), Err(Denied::Revoked));
    assert_eq!(gate.authenticator.refresh(&token, &gate.auth, at(NOW + 3_500)), Err(Denied::Revoked));
    assert!(gate.ask(&super::token(&with(json!({"jti": "token-2"}))), NOW).is_ok());
}

#[test]
fn what_was_revoked_before_the_start_is_revoked() {
    let revoked = Revocation { token_id: "token-1".into(), until: Wall((NOW + 1) * 1_000) };
    let auth = Auth { revoked: [revoked].into(), ..auth() };
    let mut gate = Gate { authenticator: Authenticator::new(&auth, 1), auth };
    assert_eq!(gate.ask(&token(&claims()), NOW), Err(Denied::Revoked));
    assert!(gate.ask(&token(&claims()), NOW + 1).is_ok());
}

#[test]
fn keys_that_are_replaced_take_what_they_proved_with_them() {
    let mut gate = Gate::new();
    assert!(gate.ask(fixtures::ES256, NOW).is_ok());
    let all = gate.auth.keys.clone();
    gate.authenticator.replace_keys(all.clone());
    let first = gate.ask(fixtures::ES256, NOW).expect("right");
    gate.authenticator.replace_keys(all.clone());
    assert!(
        Arc::ptr_eq(&first, &gate.ask(fixtures::ES256, NOW).expect("right")),
        "the same keys change nothing"
    );
    let rotated = all.iter().filter(|key| key.kid.as_deref() != Some("ec-1")).cloned();
    gate.authenticator.replace_keys(Arc::new(KeySet::new(rotated)));
    assert_eq!(gate.ask(fixtures::ES256, NOW), Err(Denied::UnknownKey));
    assert!(gate.ask(fixtures::RS256, NOW).is_ok());
    assert!(gate.authenticator.wants_keys() && !gate.authenticator.wants_keys(), "once");
    gate.authenticator.replace_keys(all);
    assert!(gate.ask(fixtures::ES256, NOW).is_ok());
    assert!(gate.authenticator.wants_keys());
}

#[test]
fn a_token_is_renewed_near_its_end_and_keeps_its_name() {
    let mut gate = Gate::new();
    let token = token(&with(json!({"iat": NOW, "exp": NOW + 1_000, "nbf": NOW, "extra": {"kept": true}})));
    let mut refresh = |token: &str, seconds| gate.authenticator.refresh(token, &gate.auth, at(seconds));
    let same = refresh(&token, NOW + 799).expect("right");
    assert_eq!((same.token, same.expires), (None, Wall((NOW + 1_000) * 1_000)));
    let renewed = refresh(&token, NOW + 800).expect("right");
    assert_eq!(renewed.expires, Wall((NOW + 1_800) * 1_000));
    let renewed = renewed.token.expect("a new one");
    let claims: Value =
        super::super::jwt::Parts::split(&renewed).and_then(|parts| parts.payload()).expect("claims");
    let wanted = with(json!({"iat": NOW + 800, "exp": NOW + 1_800, "extra": {"kept": true}}));
    assert_eq!(claims, wanted);
    assert!(gate.ask(&renewed, NOW + 1_700).is_ok());
    assert_eq!(gate.authenticator.refresh(&token, &gate.auth, at(NOW + 1_005)), Err(Denied::Expired));
}

#[test]
fn a_token_from_elsewhere_is_not_renewed_here() {
    let mut gate = Gate::new();
    let end = 4_102_444_800;
    let far = gate.authenticator.refresh(fixtures::EDDSA, &gate.auth, at(NOW)).expect("far from its end");
    assert_eq!((far.token, far.expires), (None, Wall(end * 1_000)));
    let near = gate.authenticator.refresh(fixtures::EDDSA, &gate.auth, at(end - 1));
    assert!(matches!(near, Err(Denied::Invalid(what)) if what.contains("not made here")), "{near:?}");
}

#[test]
fn a_ticket_is_good_once_and_soon() {
    let mut gate = Gate::new();
    let mut seal = Seal::new(&[7; 32], Member(0), 1);
    let principal = gate.ask(&token(&claims()), NOW).expect("right");
    let issue =
        |seal: &mut Seal| Authenticator::ticket(&principal, Duration::from_secs(30), at(NOW).wall, seal);
    let (one, other) = (issue(&mut seal), issue(&mut seal));
    let home = &mut gate.authenticator;
    assert_eq!(home.read_ticket(&one, &seal, at(NOW).wall).as_ref(), Ok(&*principal), "it is not used up");
    assert_eq!(home.redeem(&one, &seal, at(NOW + 29).wall), Ok(principal.clone()));
    let again = home.redeem(&one, &seal, at(NOW + 29).wall);
    assert!(matches!(again, Err(Denied::Invalid(what)) if what.contains("used before")), "{again:?}");
    assert_eq!(home.redeem(&other, &seal, at(NOW + 30).wall), Err(Denied::Expired));
    let stranger = Seal::new(&[8; 32], Member(0), 1);
    assert!(matches!(home.redeem(&other, &stranger, at(NOW).wall), Err(Denied::Invalid(_))));
    home.revoke("token-1", at(NOW + 99).wall, at(NOW).wall);
    assert_eq!(home.redeem(&other, &seal, at(NOW).wall), Err(Denied::Revoked));
}
