/** English: signing in, the first administrator, the account. */
export const ACCESS = {
  "access.login.title": "Log in",
  "access.name": "Name",
  "access.password": "Password",
  "access.code": "Code",
  "access.code.hint": "Only with an authenticator: its six digits, or a recovery code.",
  "access.wrong": "Name, password or code is wrong.",
  "access.wrong.hint":
    "Check for capital letters. With an authenticator give its newest code: each counts once.",
  "access.wait": "Too many wrong attempts, or too many at once.",
  "access.wait.hint": "Wait a little before the next attempt. The wait grows with each wrong one.",
  "access.login.do": "Log in",
  "access.login.lost":
    "Nobody knows the password any more? Whoever is root on the node sets a new one: iservft-edge user password NAME",
  "access.setup.title": "First administrator",
  "access.setup.intro":
    "This node has no accounts yet, and only this machine reaches its page. With this account the page opens for the network.",
  "access.setup.no_token.title": "Open the link from the terminal",
  "access.setup.no_token":
    "The first administrator is made with a one-time link. It is in the output of `iservft-edge serve`, and in its log: journalctl -u iservft-edge",
  "access.setup.no_token.other":
    "Or make the account on the node itself: iservft-edge user add NAME --role administrator",
  "access.setup.bad_token":
    "This link is not valid any more: it counts once, and for an hour. Use the newest one.",
  "access.setup.name.hint": "Small letters, digits, '.', '_' and '-', beginning with a letter.",
  "access.setup.language": "Language of this account",
  "access.setup.do": "Make the account, and log in",
  "access.password.new": "New password",
  "access.password.again": "The same again",
  "access.password.hint":
    "At least {count} characters. Four words that have nothing to do with each other are good; the account's name and well-known passwords are not taken.",
  "access.password.differ": "The two passwords are not the same.",
  "access.again.title": "Your password again",
  "access.again.intro":
    "What you are about to do is not undone easily. After this you have five minutes for it.",
  "access.again.do": "Go on",
  "access.account.title": "Account",
  "access.account.you": "You",
  "access.account.role": "Role",
  "access.account.role.viewer": "Viewer: sees everything",
  "access.account.role.operator": "Operator: sees everything, and acts on VMs",
  "access.account.role.administrator": "Administrator: everything",
  "access.account.last_login": "Last login",
  "access.account.language": "Language",
  "access.account.language.auto": "As the browser says",
  "access.account.save": "Save",
  "access.change.title": "Change password",
  "access.change.old": "Password until now",
  "access.change.do": "Change, and log out everywhere",
  "access.change.done": "The password is changed, and all sessions have ended. Log in with the new one.",
  "access.totp.title": "Authenticator",
  "access.totp.off":
    "Off. With it, the password alone opens nothing: an app on your phone shows a code as well.",
  "access.totp.on": "On: each login asks for a code.",
  "access.totp.begin": "Set up an authenticator",
  "access.totp.scan": "Scan this with the app, or type the secret into it. Then give the code that it shows.",
  "access.totp.secret": "Secret",
  "access.totp.confirm": "Turn it on",
  "access.totp.wrong":
    "This is not the code that belongs to it now. Look at the phone's clock, and give the newest one.",
  "access.totp.remove": "Turn it off",
  "access.totp.codes.title": "Recovery codes",
  "access.totp.codes":
    "Each of these counts once in place of a code, for the day when the phone is gone. They are not shown again: write them down now.",
  "access.totp.codes.done": "I have them",
  "access.sessions.title": "Where you are logged in",
  "access.sessions.since": "Since",
  "access.sessions.used": "Last used",
  "access.sessions.address": "Address",
  "access.sessions.browser": "Browser",
  "access.sessions.this": "this one",
  "access.sessions.end": "End",
  "access.sessions.end_of": "End the session from {address}",
  "access.sessions.end_all": "Log out everywhere",
  "access.certificate.title": "Certificate of this page",
  "access.certificate":
    "The browser shows the same fingerprint (SHA-256) in the certificate's details. If it does not, somebody stands between.",
} as const;
