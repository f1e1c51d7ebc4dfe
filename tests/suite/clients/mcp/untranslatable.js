// Checks that cannot carry over when the client and the upstream speak different eras, each with its reason. A check
// that is named here and passes nevertheless fails the run: the list says what is, not what was.
//
// `suite` is the client's revision; the upstream knows only the other.

const KEYS = 'a legacy server asks by a request with an id, not by a key: the gateway makes up the key, and the suite '
  + 'expects one of its own'
const UNDECLARED = 'a legacy server answers a call that needs a capability nobody declared with an error of the tool, '
  + 'which does not say that a capability was missing, or which'

export const UNTRANSLATABLE = [
  ...[
    ['input-required-result-basic-elicitation', 'sep-2322-elicitation-incomplete', KEYS],
    ['input-required-result-basic-elicitation', 'sep-2322-elicitation-complete', KEYS],
    ['input-required-result-ignore-extra-params', 'sep-2322-ignore-unexpected-params', KEYS],
    ['server-stateless', 'sep-2575-server-rejects-undeclared-capability', UNDECLARED],
    ['server-stateless', 'sep-2575-missing-capability-http-400', UNDECLARED],
  ].map(([scenario, check, reason]) => ({ suite: '2026-07-28', scenario, check, reason })),
]
