// What the provider remembers. It outlives the Provider objects, of which a rotated key makes a new one.
const GRANTABLE = new Set(['AccessToken', 'AuthorizationCode', 'RefreshToken'])

export class Store {
  #rows = new Map()
  #grace

  /** grace: for how many seconds after its use a refresh token may be used again, at this moment. */
  constructor({ grace }) {
    this.#grace = grace
  }

  adapter = (model) => ({
    upsert: async (id, payload) => void this.#rows.set(`${model}:${id}`, payload),
    find: async (id) => this.#forgiven(model, this.#rows.get(`${model}:${id}`)),
    findByUid: async (uid) => this.#first((name, row) => name.startsWith(`${model}:`) && row.uid === uid),
    findByUserCode: async () => undefined,
    destroy: async (id) => void this.#rows.delete(`${model}:${id}`),
    consume: async (id) => {
      this.#rows.get(`${model}:${id}`).consumed = Date.now() / 1000
    },
    revokeByGrantId: async (grantId) => void this.#drop((name, row) => (
      GRANTABLE.has(name.split(':')[0]) && row.grantId === grantId)),
  })

  /** End everything that an account granted (everybody's, without one); sessions stay. */
  revoke(accountId) {
    return this.#drop((name, row) => name.split(':')[0] !== 'Session' && row.accountId !== undefined
      && (accountId === undefined || row.accountId === accountId))
  }

  /** Log everybody out. */
  forgetSessions() {
    return this.#drop((name) => name.startsWith('Session:'))
  }

  #forgiven(model, row) {
    const isUsed = model === 'RefreshToken' && row?.consumed !== undefined
    return isUsed && Date.now() / 1000 - row.consumed < this.#grace() ? { ...row, consumed: undefined } : row
  }

  #first(wanted) {
    for (const [name, row] of this.#rows) if (wanted(name, row)) return row
    return undefined
  }

  #drop(wanted) {
    let dropped = 0
    for (const [name, row] of this.#rows) if (wanted(name, row)) dropped += this.#rows.delete(name) ? 1 : 0
    return dropped
  }
}
