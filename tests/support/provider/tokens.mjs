// The provider's keys, and tokens signed anew after they were given another shape.
import { createPrivateKey, generateKeyPairSync, randomBytes, sign } from 'node:crypto'

const SIGNED_WITH = 'RS256'

export function freshKey() {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const kid = randomBytes(8).toString('hex')
  return { ...privateKey.export({ format: 'jwk' }), kid, alg: SIGNED_WITH, use: 'sig' }
}

export function open(token) {
  const [header, payload] = token.split('.', 2).map((part) => JSON.parse(Buffer.from(part, 'base64url')))
  return { header, payload }
}

export function seal({ header, payload }, key) {
  const encode = (value) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const signed = `${encode(header)}.${encode(payload)}`
  const signature = sign('RSA-SHA256', Buffer.from(signed), createPrivateKey({ key, format: 'jwk' }))
  return `${signed}.${signature.toString('base64url')}`
}

/** RFC 7396: null takes a member away. */
export function patched(value, patch) {
  if (patch === undefined) return value
  const made = { ...value, ...patch }
  for (const name of Object.keys(patch)) if (patch[name] === null) delete made[name]
  return made
}
