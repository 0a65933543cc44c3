// A real OpenID provider (npm oidc-provider) for tests: one confidential client that may use client credentials, one
// resource server that takes JWTs. What it is comes as JSON in OIDC_PROVIDER; it prints its port when it listens.
import { createServer } from 'node:http'
import Provider from 'oidc-provider'

const { clients, resources, port } = JSON.parse(process.env.OIDC_PROVIDER)
const server = createServer()
server.listen(port ?? 0, '127.0.0.1', () => {
  const issuer = `http://127.0.0.1:${server.address().port}`
  const provider = new Provider(issuer, {
    clients,
    scopes: ['openid', 'offline_access', ...Object.values(resources).flatMap(({ scopes }) => scopes)],
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      introspection: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => undefined,
        getResourceServerInfo: (_ctx, resource) => {
          const known = resources[resource]
          if (known === undefined) throw new InvalidTarget()
          return {
            scope: known.scopes.join(' '),
            audience: resource,
            accessTokenTTL: known.seconds,
            accessTokenFormat: 'jwt',
            jwt: { sign: { alg: 'RS256' } },
          }
        },
      },
    },
  })
  server.on('request', provider.callback())
  console.log(server.address().port)
})

class InvalidTarget extends Error {
  constructor() {
    super('invalid_target')
    Object.assign(this, { error: 'invalid_target', error_description: 'unknown resource', status: 400, statusCode: 400, expose: true })
  }
}
