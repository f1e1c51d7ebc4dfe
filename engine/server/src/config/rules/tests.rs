use weir_shard::limits::Rate;

use super::*;

fn read(text: &str) -> Result<RuleSet, String> {
    let problems = match parse(Path::new("rules.toml"), text, &["user", "guest"]) {
        Ok(set) => return Ok(set),
        Err(problems) => problems,
    };
    Err(problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
}

fn names(texts: &[&str]) -> Names {
    Names::parse(texts).expect("patterns")
}

#[test]
fn rules_are_read_in_order() {
    let set = read(
        "dry_run = true\n\
         [[rule]]\nname = \"no-deletes\"\nroles = [\"guest\"]\nclients = [\"u*\"]\nmethods = [\"tools/call\"]\n\
         tools = [\"*__delete*\"]\nmin_size = 10\nrate = 0.8\nsuspicion = 5\npattern = '(?i)iban'\neffect = \"deny\"\n\
         [[rule]]\nname = \"orders\"\ntopics = [\"room:*\"]\ntypes = [\"order.*\"]\nrequired = [\"amount\", \"to.name\"]\n\
         effect = \"require\"\nmax_size = 4096\ndry_run = true\n\
         [[rule]]\nname = \"slow\"\neffect = \"throttle\"\nlimit = { limit = 10, per = \"5s\", burst = 20 }\n\
         [[rule]]\nname = \"rest\"\neffect = \"allow\"\n",
    );
    let set = set.expect("rules");
    assert!(set.dry_run && set.rules.len() == 4);
    let deletes = Matchers {
        roles: vec!["guest".into()],
        clients: names(&["u*"]),
        methods: names(&["tools/call"]),
        tools: names(&["*__delete*"]),
        bytes_min: 10,
        pattern: Some("(?i)iban".into()),
        used: 0.8,
        suspicion: 5.0,
        ..Matchers::default()
    };
    let first = Rule { name: "no-deletes".into(), when: deletes, effect: Effect::Deny, dry_run: false };
    assert_eq!(set.rules[0], first);
    let fields = vec!["amount".into(), "to.name".into()];
    assert_eq!(set.rules[1].effect, Effect::Require { fields, bytes_max: 4096 });
    assert_eq!((set.rules[1].dry_run, &set.rules[1].when.topics), (true, &names(&["room:*"])));
    assert_eq!(set.rules[2].effect, Effect::Throttle(Rate::new(2.0, 20)));
    assert_eq!(set.rules[3].effect, Effect::Allow);
}

#[test]
fn a_file_without_rules_is_one() {
    assert_eq!(read(""), Ok(RuleSet::default()));
}

#[test]
fn what_is_wrong_with_a_rule_is_said_with_its_line_and_the_mend() {
    for (text, said) in [
        ("effect = \"deny\"", "rules.toml:1: this rule has no name; senders are told it"),
        ("name = \"a\"", "rules.toml:1: this rule has no effect"),
        (
            "name = \"a b\"\neffect = \"deny\"",
            "rules.toml:2: rule.name is \"a b\" and must be 1 to 64 letters",
        ),
        (
            "name = \"a\"\neffect = \"drop\"",
            "rules.toml:3: rule.effect is \"drop\" and must be \"allow\", \"deny\"",
        ),
        (
            "name = \"a\"\neffect = \"deny\"\nmin_sise = 1",
            "rules.toml:4: there is no rule.min_sise; did you mean rule.min_size?",
        ),
        ("name = \"a\"\neffect = \"deny\"\nmax_size = 1", "rule.max_size is of the effect \"require\" only"),
        ("name = \"a\"\neffect = \"require\"", "this rule has no required or max_size"),
        (
            "name = \"a\"\neffect = \"require\"\nrequired = [\"a..b\"]",
            "rule.required is a list and must be a list of",
        ),
        ("name = \"a\"\neffect = \"throttle\"", "this rule has no limit, such as { limit = 10"),
        (
            "name = \"a\"\neffect = \"throttle\"\nlimit = { limits = 1 }",
            "there is no rule.limit.limits; did you mean rule.limit.limit?",
        ),
        (
            "name = \"a\"\neffect = \"throttle\"\nlimit = { limit = 0 }",
            "rule.limit.limit is 0 and must be a whole number from 1",
        ),
        (
            "name = \"a\"\neffect = \"allow\"\ndry_run = true",
            "rule.dry_run cannot stand beside the effect allow",
        ),
        (
            "name = \"a\"\neffect = \"deny\"\nroles = [\"gest\"]",
            "a list of roles that there are (user, guest)",
        ),
        ("name = \"a\"\neffect = \"deny\"\npattern = \"(\"", "which this is not: unclosed group"),
        ("name = \"a\"\neffect = \"deny\"\ntypes = \"chat\"", "must be a list of types"),
        ("name = \"a\"\neffect = \"deny\"\ntopics = [\"\"]", "must be a list of topics"),
        ("name = \"a\"\neffect = \"deny\"\nrate = 1.5", "must be a number above 0 and up to 1"),
        ("name = \"a\"\neffect = \"deny\"\nsuspicion = 0", "must be a number above 0 and up to 1000000"),
        (
            "name = \"a\"\neffect = \"deny\"\n[[rule]]\nname = \"a\"\neffect = \"deny\"",
            "is \"a\", and so is another's; rename one of them",
        ),
    ] {
        let found = read(&format!("[[rule]]\n{text}\n")).expect_err(text);
        assert!(found.contains(said), "{found}");
    }
    assert!(
        read("rules = 7\n")
            .expect_err("no key")
            .contains("rules.toml:1: there is no rules; did you mean rule?")
    );
    assert!(read("rule = 7\n").expect_err("no list").contains("rule is 7 and must be a list"));
    assert!(read("dry_run = 1\n").expect_err("no switch").contains("dry_run is 1 and must be true or false"));
    assert!(read("[[rule]\n").expect_err("no TOML").contains("this is no TOML"));
}
