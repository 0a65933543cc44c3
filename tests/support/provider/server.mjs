// A real OpenID provider (npm oidc-provider) with the manners of a well-known one, and a control server beside it.
// What it is comes as JSON in IDENTITY_PROVIDER (see identity_provider.py); it prints {"port", "control"} when it
// listens.
import { createServer } from 'node:http'
import { createHash } from 'node:crypto'
import Provider, { errors, interactionPolicy } from 'oidc-provider'

import { consentPage, loginPage } from './pages.mjs'
import { profiles } from './profiles.mjs'
import { Store } from './store.mjs'
import { freshKey, open, patched, seal } from './tokens.mjs'

const MAX_BODY = 1 << 20
const RESOURCE = 'urn:portico:test:api' // where a profile ignores or refuses `resource`, its one API
const DAY = 86_400

const settings = JSON.parse(process.env.IDENTITY_PROVIDER)
const profile = profiles[settings.profile]
const store = new Store({ grace: () => state.grace_seconds })
const accounts = new Map(settings.accounts.map((account) => [account.id, account]))
const consents = settings.consent ?? profile.consent ?? false
const requests = []
const offline = new Set() // ids of authorization codes that earn a refresh token
const bearers = new Map() // JWT access token → account id, for userinfo
const SESSION = `op_session_${settings.profile}`
const scopesOfApi = () => profile.api.join(' ')

/** What tests change while it runs. */
const state = {
  silent: null, // this account is logged in without a page
  denies: false, // every person cancels
  sso: true, // a browser that logged in once is not asked again
  disabled: [], // accounts that may neither log in nor refresh
  access_seconds: settings.access_seconds, // lifetime of access tokens from now on
  grace_seconds: profile.grace ?? 0, // for which a rotated refresh token may be used again
  faults: [], // {endpoint, status, headers, body, repeat, delay, times}, the first that matches is taken
  patch: {}, // members changed in: discovery token id_token access_token userinfo callback
  header: {}, // headers of: id_token access_token
}
let keys = [freshKey()]
let origin
let provider

const account = (id) => (accounts.has(id) && !state.disabled.includes(id) ? accounts.get(id) : undefined)

function claimsOf({ id, password: _password, ...claims }) {
  return { sub: id, ...claims }
}

const digest = (text) => createHash('sha256').update(text).digest('base64url')

// --- the Provider ---------------------------------------------------------------------------------------------------

function build() {
  const { base, Check } = interactionPolicy
  const policy = base()
  policy.get('login').checks.add(new Check('no_sso', 'login each time', ({ oidc }) => (
    state.sso || oidc.result?.login ? Check.NO_NEED_TO_PROMPT : Check.REQUEST_PROMPT)))
  const made = new Provider(`${origin}${profile.path}`, {
    adapter: store.adapter,
    clients: settings.clients.map((client) => ({
      id_token_signed_response_alg: 'RS256',
      grant_types: ['authorization_code', 'refresh_token'],
      ...(profile.pairwise && client.redirect_uris?.length ? { subject_type: 'pairwise' } : {}),
      ...client,
    })),
    jwks: { keys },
    cookies: { keys: ['not a secret: a test provider'], names: { session: SESSION } },
    subjectTypes: profile.pairwise ? ['pairwise', 'public'] : ['public'],
    pairwiseIdentifier: (_ctx, id, { clientId }) => digest(`${clientId}|${id}`),
    findAccount: (_ctx, id) => {
      const found = account(id)
      return found && { accountId: id, claims: () => claimsOf(found) }
    },
    claims: {
      openid: ['sub'],
      email: ['email', 'email_verified'],
      profile: ['name', 'preferred_username', 'groups'],
    },
    scopes: profile.oidc,
    conformIdTokenClaims: false,
    allowOmittingSingleRegisteredRedirectUri: false,
    extraParams: ['offline'],
    clientAuthMethods: ['client_secret_basic', 'client_secret_post', 'none'],
    pkce: { required: () => profile.pkce ?? false },
    routes: profile.routes,
    rotateRefreshToken: profile.rotates,
    issueRefreshToken: (_ctx, _client, code) => offline.has(code.jti),
    expiresWithSession: () => false,
    loadExistingGrant,
    interactions: { url: (_ctx, { uid }) => `/interaction/${uid}`, policy },
    ttl: {
      AccessToken: () => state.access_seconds,
      RefreshToken: settings.refresh_seconds ?? DAY,
      AuthorizationCode: 60,
      IdToken: 3600,
      Grant: DAY,
      Interaction: 3600,
      Session: DAY,
    },
    features: {
      devInteractions: { enabled: false },
      introspection: { enabled: true, allowedPolicy: () => true },
      revocation: { enabled: true, allowedPolicy: (_ctx, client, token) => token.clientId === client.clientId },
      rpInitiatedLogout: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => (profile.tokens === 'jwt' && profile.resource !== 'honour' ? RESOURCE : undefined),
        useGrantedResource: () => true,
        getResourceServerInfo: (_ctx, resource) => {
          if (![RESOURCE, ...settings.resources].includes(resource)) throw new errors.InvalidTarget('unknown resource')
          return {
            scope: [...profile.oidc, ...profile.api].join(' '),
            audience: resource,
            accessTokenTTL: state.access_seconds,
            accessTokenFormat: profile.tokens,
            jwt: { sign: { alg: 'RS256' } },
          }
        },
      },
    },
  })
  made.use(shape)
  return made
}

async function grantEverything({ clientId, accountId, resources }) {
  const grant = new provider.Grant({ clientId, accountId })
  grant.addOIDCScope([...profile.oidc, ...profile.api].join(' '))
  for (const resource of resources) grant.addResourceScope(resource, [...profile.oidc, scopesOfApi()].join(' '))
  await grant.save()
  return grant
}

async function loadExistingGrant({ oidc }) {
  const id = oidc.result?.consent?.grantId ?? (consents ? oidc.session.grantIdFor(oidc.client.clientId) : undefined)
  if (id) return provider.Grant.find(id)
  if (consents) return undefined
  return grantEverything({
    clientId: oidc.client.clientId,
    accountId: oidc.account.accountId,
    resources: Object.keys(oidc.resourceServers),
  })
}

/** Koa middleware: what oidc-provider answers gets the profile's shape, and the changes that a test wants. */
async function shape(ctx, next) {
  await next()
  const { oidc } = ctx
  if (oidc === undefined) return
  const { route } = oidc
  if (['authorization', 'resume'].includes(route)) {
    const code = oidc.entities.AuthorizationCode
    if (code && oidc.params.offline) offline.add(code.jti)
    shapeCallback(ctx)
  } else if (route === 'discovery') {
    const names = profile.advertises ?? Object.keys(ctx.body)
    const known = Object.fromEntries(names.filter((name) => name in ctx.body).map((name) => [name, ctx.body[name]]))
    ctx.body = patched(known, state.patch.discovery)
  } else if (route === 'userinfo' && ctx.status === 200) {
    ctx.body = patched(ctx.body, state.patch.userinfo)
  } else if (route === 'token' && ctx.status === 200) {
    shapeTokens(ctx)
  }
}

function shapeCallback(ctx) {
  const location = URL.parse(ctx.response.get('location'))
  if (!location?.searchParams.has('state') || location.origin === origin) return
  const patch = { ...(profile.iss ? {} : { iss: null }), ...state.patch.callback }
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) location.searchParams.delete(name)
    else location.searchParams.set(name, value)
  }
  ctx.response.set('location', location.href)
}

function shapeTokens(ctx) {
  const person = accounts.get(ctx.oidc.account?.accountId)
  const body = { ...ctx.body }
  if (person && body.id_token) body.id_token = reshaped(body.id_token, 'id_token', profile.id, person)
  if (person && body.access_token.split('.').length === 3) {
    body.access_token = reshaped(body.access_token, 'access_token', profile.access, person)
    bearers.set(body.access_token, person.id)
  }
  ctx.body = patched(body, state.patch.token)
}

function reshaped(token, name, shapeOf = (value) => value, person = undefined) {
  const { header, payload } = shapeOf({ ...open(token), account: person })
  const changed = { header: patched(header, state.header[name]), payload: patched(payload, state.patch[name]) }
  return seal(changed, keys[0])
}

// --- the manners: what comes in before oidc-provider sees it ------------------------------------------------------

const ROUTES = {
  authorization: '/auth', token: '/token', userinfo: '/me', revocation: '/token/revocation',
  introspection: '/token/introspection', jwks: '/jwks', end_session: '/session/end',
  ...profile.routes,
}
const WELL_KNOWN = '/.well-known/openid-configuration'
const METADATA = '/.well-known/oauth-authorization-server'

function endpointOf(path) {
  if (path === `${profile.path}${WELL_KNOWN}`) return 'discovery'
  if (path === `${METADATA}${profile.path}` || path === `${profile.path}${METADATA}`) return 'metadata'
  if (path.startsWith('/interaction/')) return 'interaction'
  const found = Object.entries(ROUTES).find(([, route]) => route === path)
  if (found) return found[0]
  if (path.startsWith(`${ROUTES.authorization}/`)) return 'resume'
  return path.startsWith(`${ROUTES.end_session}/`) ? 'end_session' : 'other'
}

async function serve(request, response) {
  const [path, query = ''] = request.url.split('?', 2)
  const endpoint = endpointOf(path)
  const body = await readBody(request)
  const isForm = (request.headers['content-type'] ?? '').startsWith('application/x-www-form-urlencoded')
  const form = new URLSearchParams(isForm ? body : '')
  const record = {
    method: request.method, path, endpoint, headers: request.headers,
    query: [...new URLSearchParams(query)], form: [...form], status: 0,
  }
  requests.push(record)
  response.on('close', () => { record.status = response.writableFinished ? response.statusCode : 0 })
  if (await failed(endpoint, response)) return
  const parameters = request.method === 'POST' ? form : new URLSearchParams(query)
  if (endpoint === 'discovery' || (endpoint === 'metadata' && profile.metadata)) request.url = WELL_KNOWN
  else if (['metadata', 'other'].includes(endpoint)) return void answer(response, 404, 'text/plain', 'Not Found')
  else if (endpoint === 'interaction') return void await interact(request, response, path, form)
  else if (endpoint === 'userinfo' && profile.userinfo && bearer(request)) return void userinfo(request, response)
  else if (endpoint === 'end_session' && profile.logout) return void loggedOut(response, parameters)
  else if (endpoint === 'authorization') {
    const refusal = judge(parameters)
    if (refusal) return void redirected(response, parameters, refusal)
    if (request.method === 'GET') request.url = `${path}?${parameters}`
  } else if (endpoint === 'token') {
    const refusal = judgeResource(parameters)
    if (refusal) return void json(response, 400, refusal)
    if (profile.offlineAtRefresh && form.has('scope')) form.set('scope', withoutOffline(form.get('scope')))
  }
  if (isForm) request.body = listed(form)
  await provider.callback()(request, response)
}

const withoutOffline = (scope) => scope.split(' ').filter((name) => name !== 'offline_access').join(' ')

async function readBody(request) {
  const chunks = []
  let size = 0
  for await (const chunk of request) if ((size += chunk.length) <= MAX_BODY) chunks.push(chunk)
  return Buffer.concat(chunks).toString()
}

/** Change an authorization request as the profile's provider would read it; return its refusal, if any. */
function judge(parameters) {
  const client = settings.clients.find(({ client_id }) => client_id === parameters.get('client_id'))
  if (!client?.redirect_uris?.includes(parameters.get('redirect_uri'))) return undefined // oidc-provider shows a page
  const refusal = judgeResource(parameters)
  if (refusal) return refusal
  const scopes = (parameters.get('scope') ?? '').split(' ').filter(Boolean)
  const unknown = scopes.filter((scope) => ![...profile.oidc, ...profile.api].includes(scope))
  if (unknown.length) return { error: 'invalid_scope', error_description: invalidScope(unknown) }
  parameters.delete('offline')
  if (profile.offline(parameters)) parameters.set('offline', '1')
  if (parameters.get('prompt')?.includes('select_account')) {
    parameters.set('prompt', parameters.get('prompt').replace('select_account', 'login'))
  }
  return undefined
}

function judgeResource(parameters) {
  if (!parameters.has('resource') || profile.resource === 'honour') return undefined
  const given = parameters.get('resource')
  parameters.delete('resource')
  if (profile.resource === 'ignore') return undefined
  return {
    error: 'invalid_target',
    error_description: "AADSTS9010010: The resource parameter provided in the request doesn't match with the "
      + `requested scopes. Resource: ${given}.`,
  }
}

function invalidScope(unknown) {
  if (settings.profile !== 'entra') return `unknown scope: ${unknown.join(' ')}`
  return `AADSTS70011: The provided value for the input parameter 'scope' is not valid: ${unknown.join(' ')}`
}

/** Cognito's own way to log a browser out: an exact URL, and no page of its own. */
function loggedOut(response, parameters) {
  const client = settings.clients.find(({ client_id }) => client_id === parameters.get('client_id'))
  const target = parameters.get('logout_uri')
  if (!client?.post_logout_redirect_uris?.includes(target)) return void answer(response, 400, 'text/plain', 'no')
  const ended = ['', '.legacy', '.sig', '.legacy.sig'].map((end) => `${SESSION}${end}=; path=/; max-age=0`)
  return void response.writeHead(302, { location: target, 'set-cookie': ended }).end()
}

function redirected(response, parameters, refusal) {
  const target = new URL(parameters.get('redirect_uri'))
  for (const [name, value] of Object.entries(refusal)) target.searchParams.set(name, value)
  if (parameters.has('state')) target.searchParams.set('state', parameters.get('state'))
  response.writeHead(302, { location: target.href }).end()
}

/** A form as the object that body parsers make: repeated parameters become lists. */
function listed(form) {
  return Object.fromEntries([...new Set(form.keys())].map((name) => {
    const values = form.getAll(name)
    return [name, values.length === 1 ? values[0] : values]
  }))
}

// --- people ---------------------------------------------------------------------------------------------------------

async function interact(request, response, path, form) {
  const { prompt, params, ...interaction } = await provider.interactionDetails(request, response)
  const finish = (result) => provider.interactionFinished(request, response, result, { mergeWithLastSubmission: true })
  const client = settings.clients.find(({ client_id }) => client_id === params.client_id)
  const title = client.client_name ?? client.client_id
  const allow = async () => finish({ consent: { grantId: (await consented(params, interaction)).jti } })
  if (state.denies || form.get('decision') === 'deny') {
    await finish({ error: 'access_denied', error_description: 'End-User aborted interaction' })
  } else if (prompt.name === 'login') {
    const asked = request.method === 'POST' ? account(form.get('username')) : undefined
    const known = state.silent ?? (asked?.password === form.get('password') ? asked?.id : undefined)
    if (known) await finish({ login: { accountId: known, remember: true } })
    else answer(response, 200, 'text/html; charset=utf-8', loginPage(path, title, request.method === 'POST'))
  } else if (request.method === 'POST' || state.silent) {
    await allow()
  } else {
    answer(response, 200, 'text/html; charset=utf-8', consentPage(path, title, (params.scope ?? '').split(' ')))
  }
}

function consented(params, { session }) {
  const resources = [params.resource].flat().filter(Boolean)
  return grantEverything({ clientId: params.client_id, accountId: session.accountId, resources })
}

const bearer = (request) => bearers.get((request.headers.authorization ?? '').replace(/^Bearer /i, ''))

function userinfo(request, response) {
  const found = account(bearer(request))
  const { exp } = open(request.headers.authorization.slice('Bearer '.length)).payload
  if (!found || exp * 1000 <= Date.now()) {
    response.setHeader('www-authenticate', 'Bearer error="invalid_token"')
    json(response, 401, { error: 'invalid_token' })
  } else {
    json(response, 200, patched(claimsOf(found), state.patch.userinfo))
  }
}

// --- faults and control -------------------------------------------------------------------------------------------

const held = [] // what lets go of the answers that are held back

async function failed(endpoint, response) {
  const fault = state.faults.find((each) => each.endpoint === endpoint && (each.times ?? 1) > 0)
  if (!fault) return false
  if (fault.times !== undefined) fault.times -= 1
  if (fault.delay) await new Promise((resolve) => setTimeout(resolve, fault.delay * 1000))
  if (fault.held) await new Promise((resolve) => held.push(resolve))
  if (fault.status === undefined) return false
  response.writeHead(fault.status, fault.headers ?? {}).end((fault.body ?? '').repeat(fault.repeat ?? 1))
  return true
}

function answer(response, status, type, text) {
  response.writeHead(status, { 'content-type': type, 'cache-control': 'no-store' }).end(text)
}

const json = (response, status, value) => answer(response, status, 'application/json', JSON.stringify(value))

const CONTROL = {
  'GET /requests': () => requests,
  'DELETE /requests': () => requests.splice(0).length,
  'GET /state': () => state,
  'POST /state': (changes) => Object.assign(state, changes),
  'POST /faults': (fault) => state.faults.push(fault),
  'POST /release': () => held.splice(0).map((release) => release()).length,
  'POST /revoke': ({ account: id }) => store.revoke(id),
  'POST /forget-sessions': () => store.forgetSessions(),
  'POST /redirect-uris': ({ client_id: id, redirect_uris: uris }) => {
    settings.clients.find(({ client_id }) => client_id === id).redirect_uris = uris
    provider = build()
  },
  'POST /rotate': ({ keep }) => {
    keys = [freshKey(), ...(keep ? keys : [])]
    provider = build()
    return keys.map(({ kid }) => kid)
  },
}

async function control(request, response) {
  const body = await readBody(request)
  const handler = CONTROL[`${request.method} ${request.url}`]
  if (handler) json(response, 200, handler(body ? JSON.parse(body) : {}) ?? null)
  else json(response, 404, null)
}

const guarded = (handle) => (request, response) => handle(request, response).catch((error) => {
  console.error(error)
  if (!response.headersSent) answer(response, error.statusCode ?? 500, 'text/plain', String(error))
})

const listening = (server, port) => new Promise((resolve) => {
  server.listen(port, '127.0.0.1', () => resolve(server.address().port))
})

const front = createServer(guarded(serve))
const port = await listening(front, settings.port ?? 0)
origin = `http://${settings.host}:${port}`
provider = build()
console.log(JSON.stringify({ port, control: await listening(createServer(guarded(control)), 0) }))
