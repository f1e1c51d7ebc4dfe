// Elements, and tables that are changed cell by cell, so that focus, selection and screen readers stay where they are.

/** An element: `class` and other attributes, `on` as `{event: handler}`, then children and texts. */
export function h(tag, { on = {}, ...attributes } = {}, ...children) {
  const element = document.createElement(tag)
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== undefined && value !== false) element.setAttribute(name, value === true ? '' : value)
  }
  for (const [event, handler] of Object.entries(on)) element.addEventListener(event, handler)
  element.append(...children)
  return element
}

/** The same in SVG. */
export function svg(tag, attributes = {}, ...children) {
  const element = document.createElementNS('http://www.w3.org/2000/svg', tag)
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value)
  element.append(...children)
  return element
}

export const id = name => document.getElementById(name)

/** Sets a text if it is another one. */
export function say(element, text) {
  const value = String(text ?? '')
  if (element.textContent !== value) element.textContent = value
}

/** Sets an attribute if it is another one; null removes it. */
export function mark(element, name, value) {
  if (value === null || value === undefined || value === false) element.removeAttribute(name)
  else if (element.getAttribute(name) !== String(value)) element.setAttribute(name, value)
}

/** Sets a custom property that a rule of the style sheet reads. */
export function style(element, name, value) {
  if (element.style.getPropertyValue(name) !== String(value)) element.style.setProperty(name, value)
}

/**
 * A table whose rows have keys.
 *
 * Columns: `{name, title?, kind?, short?}`; `kind` is a class of the column (`number`, `bar`). The first is the rows'
 * head. Cells are texts, elements, or `{text, mark?, bar?}`: `mark` a class, `bar` a part of 1 that is drawn behind.
 */
export class Table {
  #rows = new Map()
  #columns
  #body
  #empty

  constructor(table, caption, columns, empty = 'Nothing yet.') {
    this.#columns = columns
    const heads = columns.map(({ name, title, kind = '' }) =>
      h('th', { scope: 'col', class: kind, title }, name === '' ? h('span', { class: 'hidden' }, title) : name))
    this.#body = h('tbody')
    this.#empty = h('tr', { class: 'empty' }, h('td', { colspan: columns.length }, empty))
    table.replaceChildren(h('caption', { class: 'hidden' }, caption), h('thead', {}, h('tr', {}, ...heads)), this.#body)
    this.#body.append(this.#empty)
  }

  /** Shows rows `{key, cells, mark?}` in this order. */
  show(rows) {
    const keys = new Set(rows.map(({ key }) => key))
    for (const [key, row] of this.#rows) {
      if (keys.has(key)) continue
      row.remove()
      this.#rows.delete(key)
    }
    rows.forEach((row, place) => {
      const element = this.#row(row)
      if (this.#body.children[place] !== element) this.#body.insertBefore(element, this.#body.children[place] ?? null)
      mark(element, 'class', row.mark ?? null)
      row.cells.forEach((cell, at) => fill(element.children[at], cell))
    })
    this.#empty.hidden = rows.length > 0
    if (rows.length === 0 && !this.#empty.isConnected) this.#body.append(this.#empty)
  }

  #row({ key }) {
    let row = this.#rows.get(key)
    if (!row) {
      row = h('tr', {}, ...this.#columns.map(({ kind = '' }, place) =>
        h(place === 0 ? 'th' : 'td', { class: kind, scope: place === 0 ? 'row' : undefined })))
      this.#rows.set(key, row)
    }
    return row
  }
}

function fill(cell, content) {
  if (content instanceof Element) {
    if (cell.firstChild !== content) cell.replaceChildren(content)
    return
  }
  const { text, mark: state, bar } = typeof content === 'object' && content !== null ? content : { text: content }
  say(cell, text)
  mark(cell, 'data-mark', state ?? null)
  if (bar !== undefined) style(cell, '--bar', bar.toFixed(3))
}

/** A list of terms that is made once and changed later: `show({term: text})`, in this order. */
export class Terms {
  #list
  #items = new Map()

  constructor(list) {
    this.#list = list
  }

  show(entries) {
    for (const [term, content] of Object.entries(entries)) {
      if (!this.#items.has(term)) {
        const value = h('dd')
        this.#list.append(h('div', {}, h('dt', {}, term), value))
        this.#items.set(term, value)
      }
      const { text, mark: state } = typeof content === 'object' && content !== null ? content : { text: content }
      say(this.#items.get(term), text)
      mark(this.#items.get(term), 'data-mark', state ?? null)
    }
  }
}
