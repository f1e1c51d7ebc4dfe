// Light and dark: as the system has it, unless somebody chooses.

const KEY = 'weir.theme'
const root = document.documentElement
const system = matchMedia('(prefers-color-scheme: dark)')
const listeners = new Set()
const probe = document.createElement('span')

/** Hears that colours are others now. */
export function onColours(listener) {
  listeners.add(listener)
}

/** A colour of the style sheet, as a canvas takes it. */
export function colour(name) {
  if (!probe.isConnected) {
    probe.hidden = true
    document.body.append(probe)
  }
  probe.style.color = `var(${name})`
  return getComputedStyle(probe).color
}

function choose(theme) {
  if (theme === 'auto') delete root.dataset.theme
  else root.dataset.theme = theme
  for (const listener of listeners) listener()
}

const chosen = localStorage.getItem(KEY) ?? 'auto'
for (const input of document.querySelectorAll('#theme input')) {
  input.checked = input.value === chosen
  input.addEventListener('change', () => {
    localStorage.setItem(KEY, input.value)
    choose(input.value)
  })
}
choose(chosen)
system.addEventListener('change', () => { for (const listener of listeners) listener() })
