// Checks that cannot carry over when the client and the upstream speak different eras, each with its reason. A check
// that is named here and passes nevertheless fails the run: the list says what is, not what was.
//
// `suite` is the client's revision; the upstream knows only the other.

/** What a 2026-07-28 client does not get of a server that asks by requests of its own. */
const KEYS = 'the scenario names the key of the input it expects; a 2025-11-25 server sends requests, which have no such keys'
const OWN_WORDS = 'a 2025-11-25 server knows from initialize what the client can do and refuses in its own words, in a result '
  + 'with isError; no error says which capability it missed'

export const UNTRANSLATABLE = [
  ['input-required-result-basic-elicitation', 'sep-2322-elicitation-incomplete InputRequiredResultElicitationIncomplete', KEYS],
  ['input-required-result-basic-elicitation', 'sep-2322-elicitation-complete InputRequiredResultElicitationComplete', KEYS],
  ['input-required-result-ignore-extra-params', 'sep-2322-ignore-unexpected-params IgnoreUnexpectedParams', KEYS],
  ['server-stateless', 'sep-2575-server-rejects-undeclared-capability ServerRejectsUndeclaredCapability', OWN_WORDS],
  ['server-stateless', 'sep-2575-missing-capability-http-400 MissingCapabilityHttp400', OWN_WORDS],
].map(([scenario, check, reason]) => ({ suite: '2026-07-28', scenario, check, reason }))
