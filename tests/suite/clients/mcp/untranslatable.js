// Checks that cannot carry over when the client and the upstream speak different eras, each with its reason. A check
// that is named here and passes nevertheless fails the run: the list says what is, not what was.
//
// `suite` is the client's revision; the upstream knows only the other.

export const UNTRANSLATABLE = []
