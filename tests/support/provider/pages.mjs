// The provider's login and consent pages: plain forms, for a person without a screen and for a browser.
const escaped = (text) => String(text).replace(/[&<>"']/g, (found) => `&#${found.codePointAt(0)};`)

const page = (title, body) => `<!doctype html><html lang="en">
<head><meta charset="utf-8"><title>${escaped(title)}</title></head>
<body><main><h1>${escaped(title)}</h1>${body}</main></body></html>`

export const loginPage = (action, client, failed) => page('Provider: log in', `
<p>to go on to ${escaped(client)}</p>${failed ? '<p role="alert">Unknown name or wrong password.</p>' : ''}
<form method="post" action="${escaped(action)}">
<label>Name <input name="username" autocomplete="username" autofocus></label>
<label>Password <input name="password" type="password" autocomplete="current-password"></label>
<button name="decision" value="allow">Log in</button>
<button name="decision" value="deny">Cancel</button></form>`)

export const consentPage = (action, client, scopes) => page('Provider: allow access', `
<p>${escaped(client)} asks for: ${scopes.map(escaped).join(', ')}</p>
<form method="post" action="${escaped(action)}">
<button name="decision" value="allow">Allow</button>
<button name="decision" value="deny">Deny</button></form>`)
