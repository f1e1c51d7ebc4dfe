// Numbers, times and names as people read them.

const whole = new Intl.NumberFormat('en', { maximumFractionDigits: 0 })
const short = new Intl.NumberFormat('en', { notation: 'compact', maximumFractionDigits: 1 })
const clock = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit', second: '2-digit' })

/** What is not known. */
export const NONE = '–'

/** What transports and what stands beside them are called, and which colour is theirs. */
export const TRANSPORTS = [
  { key: 'websocket', name: 'WebSocket', colour: '--ws' },
  { key: 'http_sse', name: 'SSE', colour: '--sse' },
  { key: 'longpoll', name: 'LongPoll', colour: '--lp' },
  { key: 'http', name: 'HTTP', colour: '--http' },
]

export const transport = key => TRANSPORTS.find(it => it.key === key)?.name ?? key

const known = number => number !== null && number !== undefined && Number.isFinite(number)

/** A whole number; above a hundred thousand in thousands and millions. */
export function count(number) {
  if (!known(number)) return NONE
  return Math.abs(number) >= 100_000 ? short.format(number) : whole.format(number)
}

/** Something a second: small ones with a digit behind the point. */
export function rate(number) {
  if (!known(number)) return NONE
  return number > 0 && number < 10 ? number.toFixed(1) : count(number)
}

/** Milliseconds, with three digits. */
export function millis(number) {
  if (!known(number)) return NONE
  if (number >= 10_000) return `${count(number / 1000)} s`
  return number >= 100 ? number.toFixed(0) : number >= 10 ? number.toFixed(1) : number >= 1 ? number.toFixed(2) : number.toFixed(3)
}

/** Bytes in binary units. */
export function bytes(number) {
  if (!known(number)) return NONE
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB']
  const power = Math.min(Math.max(Math.floor(Math.log2(Math.max(number, 1)) / 10), 0), units.length - 1)
  const value = number / 1024 ** power
  return `${power > 0 && value < 10 ? value.toFixed(1) : value.toFixed(0)} ${units[power]}`
}

/** A part of 1. */
export function percent(part, digits = 0) {
  return known(part) ? `${(part * 100).toFixed(digits)} %` : NONE
}

/** Seconds, in the two largest units. */
export function span(seconds) {
  if (!known(seconds)) return NONE
  const units = [[86_400, 'd'], [3_600, 'h'], [60, 'min'], [1, 's']]
  const at = units.findIndex(([size]) => seconds >= size)
  if (at < 0) return '0 s'
  const [size, name] = units[at]
  const [lesser, lesserName] = units[at + 1] ?? []
  const rest = lesser ? Math.floor((seconds % size) / lesser) : 0
  return `${Math.floor(seconds / size)} ${name}${rest > 0 ? ` ${rest} ${lesserName}` : ''}`
}

/** The time of day of milliseconds since 1970, or of a text as RFC 3339 has it. */
export function time(at) {
  return clock.format(new Date(at))
}

/** `one` of them or `many`. */
export function plural(number, one, many = `${one}s`) {
  return `${count(number)} ${number === 1 ? one : many}`
}
