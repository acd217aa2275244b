/** Why something was refused or failed, in English: by code, what was wrong (`detail`) and what to do (`hint`). Other languages put the same codes
 * into their words (ui/i18n); a code that lacks one of them does not compile. What `said` holds is another program's own words. */

import type { Explained } from "./problem.ts";
import { fill, type Params, type Places } from "./sentence.ts";
import { VM_PROBLEMS } from "./vm_problem_english.ts";

const AGAIN = "Make a new code, and begin anew.";
const PEER_HINT = "Look whether the other node has power, its network cables, and its iservft-edge service.";
const LIST = "Look at the list.";
const UNUSED = "Remove those that nobody uses.";
const MOMENT = "Try again in a moment.";
const OLDER = "Upgrade the older of the two nodes.";

const ACCESS = {
  "access.session": { detail: "There is no such session.", hint: "It may have ended by itself." },
  "access.backoff": { detail: "Too many wrong passwords.", hint: "Try again in {seconds} s." },
  "access.busy": {
    detail: "Too many are signing in at this moment.",
    hint: "Try again in a few seconds.",
  },
  "access.wrong": {
    detail: "Name, password or code is wrong.",
    hint: "Try again; with an authenticator, give its newest code, or a recovery code.",
  },
  "access.user_exists": { detail: "There is an account {name} already.", hint: "Take another name." },
  "access.users_max": { detail: "There are {count} accounts already.", hint: UNUSED },
  "access.no_user": { detail: "There is no account {name}.", hint: LIST },
  "access.last_administrator": {
    detail: "{name} is the last administrator: when it {what}, nobody can manage this node.",
    hint: "Make another account an administrator first.",
  },
  "access.link": { detail: "This link is not valid, or not any more.", hint: "Sign in." },
  "access.link_newest": {
    detail: "This link is not valid, or not any more.",
    hint: "Use the newest link that the node's terminal shows.",
  },
  "access.token_exists": {
    detail: "There is a token {name} already.",
    hint: "Take another name, or remove that one first.",
  },
  "access.tokens_max": { detail: "There are {count} tokens already.", hint: UNUSED },
  "access.no_token": { detail: "There is no such token.", hint: LIST },
  "access.no_totp": { detail: "No authenticator is being set up.", hint: "Begin again." },
  "access.totp_wrong": {
    detail: "The code is not the one that belongs to this secret now.",
    hint: "Look at the clocks of this node and of the device, and give the newest code.",
  },
  "access.password": {
    detail: "The password {problem}.",
    hint: "Take a longer one: four words that have nothing to do with each other do well.",
  },
  "access.stranger": { detail: "Nobody is signed in.", hint: "Sign in, or send an API token." },
  "access.role": {
    detail: "{name} is {role}, and may not do this.",
    hint: "Ask an administrator for another role.",
  },
  "access.page": { detail: "this page needs a login", hint: "Log in." },
  "access.page_role": { detail: "the role {role} may not {permission}", hint: "Ask an administrator." },
  "access.no_account": { detail: "{name} is no account.", hint: "Sign in with name and password." },
  "access.token_may_not": {
    detail: "An API token may not change accounts or tokens.",
    hint: "Sign in as an administrator, or use the command line on the node itself.",
  },
  "access.again": {
    detail: "This asks for the password again.",
    hint: "Give the password of the account that is signed in, then repeat.",
  },
  "access.unset": {
    detail: "This node has no administrator yet, and is set up from the machine itself only.",
    hint: "Open the link that its terminal shows, on that machine.",
  },
  "access.too_often": {
    detail: "Too many requests from this address.",
    hint: "Ask less often; what changes is pushed by event streams.",
  },
} as const;

const PAIR = {
  "pair.unpaired": { detail: "this node is not paired", hint: "Pair it first." },
  "pair.paired": {
    detail: "this node is paired with {node}",
    hint: "Dissolve that pair first, if the other node is to be replaced.",
  },
  "pair.in_use": {
    detail: "{names} runs or waits under it: stop it first.",
    hint: "Turn off the protection of each VM first.",
  },
  "pair.not_off": {
    detail: "The other node is heard: it is not off",
    hint: "Switch it off for good first; or stop the VMs and unpair.",
  },
  "pair.not_replaced": {
    detail: "{why}",
    hint: "A node is replaced while each VM runs on this one, alone, or is stopped.",
  },
  "pair.address": {
    detail: "{text}: it is no address; type the other node's IP address or name, such as 192.168.1.12",
    hint: "The other node shows its addresses beside the code.",
  },
  "pair.code": {
    detail: "the code {text}: it is mistyped: its nine characters do not fit each other",
    hint: "Type it as the other node shows it.",
  },
  "pair.no_digits": {
    detail: "there are no digits to confirm now",
    hint: "Begin with a code: invite on one node, join on the other.",
  },
  "pair.no_invite": {
    detail: "the other node does not wait for a code now",
    hint: "Make a code there, and type it here within ten minutes.",
  },
  "pair.busy": {
    detail: "another node is giving its code there at this moment",
    hint: "Try again in a few seconds. If this was not you, find out who it was.",
  },
  "pair.being_paired": { detail: "the two nodes are being paired", hint: "Wait a moment." },
  "pair.void": {
    detail: "{count} wrong codes were tried, so the code is void",
    hint:
      "Make a new code, and begin anew. If these were not your own typing errors, find out who is on the network.",
  },
  "pair.code_late": { detail: "the code was not used in time", hint: AGAIN },
  "pair.digits_late": { detail: "the digits were not confirmed on both nodes in time", hint: AGAIN },
  "pair.self": {
    detail: "this address is this node's own",
    hint: "Type the address of the other node.",
  },
  "pair.not_reached": {
    detail: "{why}",
    hint: "Is the address the other node's, and does iservft-edge run there?",
  },
  "pair.gone": { detail: "the other node is gone: {why}", hint: AGAIN },
  "pair.not_stored": {
    detail: "the pair could not be stored: {why}",
    hint: "Look at the disk that holds the data directory, then begin anew.",
  },
  "pair.malformed": {
    detail: "what came does not belong to a pairing",
    hint: "Look whether the address is the other node's.",
  },
  "pair.wrong_code": {
    detail: "the code is not the one that the other node shows",
    hint: "Type the code anew, as it is shown there.",
  },
  "pair.not_inviter": {
    detail: "what answers there does not know the code",
    hint: "Check the address. If it is right, another machine may be answering in the other node's place.",
  },
  "pair.mismatch": {
    detail: "what it shows is not what it had committed itself to: somebody may be between the two nodes",
    hint: "Find out what is on the network between the two nodes before you try again.",
  },
  "pair.cancelled": {
    detail: "somebody cancelled the pairing on the other node",
    hint: "Begin anew when both are ready.",
  },
  "pair.interrupted": {
    detail:
      "the pairing with {node} was interrupted after it had been confirmed; it is not known whether {node} has stored it",
    hint: "It is finished by itself when the two reach each other. Or pair the two anew.",
  },
  "pair.not_kept": {
    detail: "the other node lost its power or was stopped before it had stored the pair",
    hint: "Pair the two anew.",
  },
  "pair.not_known_there": {
    detail: "the other node is not paired with this one",
    hint: "Dissolve the pair here too, and pair the two anew.",
  },
  "pair.key": {
    detail: "the two nodes hold different keys of the pair",
    hint: "One of them was restored from an older backup: dissolve the pair on both, and pair them anew.",
  },
  "pair.version": {
    detail:
      "one node runs iservft-edge {own} ({own_range}), the other {other} ({other_range}): they have none in common",
    hint: "Upgrade the node that runs {behind}.",
  },
  "pair.settings_unknown": {
    detail: "the other node sent settings that this one does not understand",
    hint: OLDER,
  },
  "pair.settings_newer": {
    detail: "the other node's settings are newer than the ones that were changed",
    hint: "Look at the settings again, and repeat the change.",
  },
  "pair.settings_between": { detail: "another change came in between", hint: "Look at the settings again." },
  "pair.settings_busy": {
    detail: "the settings are being changed at this moment",
    hint: "Look at the settings again in a moment, and repeat the change.",
  },
  "pair.settings_wrong": { detail: "{problems}", hint: "Correct these and try again." },
  "pair.rotating": { detail: "a new identity is being made already", hint: "Wait a moment." },
  "pair.identity_refused": {
    detail: "the other node's new identity was refused: {why}",
    hint: "Try again; the old identity goes on until then.",
  },
} as const;

const PEER = {
  "peer.unpaired": { detail: "this node is not paired", hint: PEER_HINT },
  "peer.silent": { detail: "{node} is not heard: {why}", hint: PEER_HINT },
  "peer.over": { detail: "{why}", hint: PEER_HINT },
  "peer.starting": { detail: "the other node is still starting", hint: PEER_HINT },
  "peer.no_answer": { detail: "the other node did not answer {method} within {seconds} s", hint: PEER_HINT },
  "peer.not_opened": { detail: "the other node did not open {method} within {seconds} s", hint: PEER_HINT },
  "peer.identity": {
    detail: "the other node is not heard, and has to be told of the new identity",
    hint: PEER_HINT,
  },
  "peer.method": { detail: "the other node does not know {method}", hint: OLDER },
  "peer.too_large": {
    detail: "{bytes} bytes do not go to the other node in one piece; {most} do",
    hint: "Ask for less at a time.",
  },
  "peer.calls_max": {
    detail: "{count} calls to the other node wait for their answers already",
    hint: MOMENT,
  },
  "peer.answers_max": { detail: "the other node answers {count} calls at a time", hint: MOMENT },
  "peer.streams_max": {
    detail: "{count} streams between the nodes are open already",
    hint: "Close a console that is not needed.",
  },
  "peer.beginning": { detail: "The service is beginning", hint: "Ask again." },
} as const;

const PAGES = {
  "page.absent": { detail: "There is nothing at {path}.", hint: "Go back to the first page." },
  "page.host": {
    detail: "{name} is not a name or an address of this node.",
    hint: "Use one of its addresses, or add the name to `names` in its settings.",
  },
  "page.too_large": { detail: "The body has more than {bytes} bytes.", hint: "Send less." },
  "page.no_vm": {
    detail: "There is no VM {name}.",
    hint: "Look at the list on the home page; it may have been deleted.",
  },
  "page.no_action": {
    detail: "There is no action {name}.",
    hint: "Open the VM's page, and choose one there.",
  },
  "page.no_document": {
    detail: "the documentation has no page {name}",
    hint: "Look at its contents: /docs",
  },
  "page.no_account": { detail: "there is no account {name}", hint: "Look at the list of accounts." },
  "page.broken": {
    detail: "Something went wrong inside this node.",
    hint: "Look into the node's log (journalctl -u iservft-edge), and try again.",
  },
  "page.unexpected": {
    detail: "Something unexpected went wrong in this node.",
    hint: "Look at the service's log, and try again.",
  },
  "alert.settings_wrong": {
    detail: "settings of alerts: {problems}",
    hint: "Correct these, then save again.",
  },
  "alert.no_channel": {
    detail: "there is no channel {name}",
    hint: "Look at the names of the channels in the settings of alerts.",
  },
  "alert.tests_max": { detail: "{count} tests are on their way", hint: "Wait until they are done." },
  "observe.unreadable": {
    detail: "what was kept cannot be read: {why}",
    hint: "Look at the disk that {directory} is on, and ask again.",
  },
} as const;

/** Everything that is refused or fails with a code. */
export const PROBLEM_ENGLISH = {
  ...ACCESS,
  ...PAIR,
  ...PEER,
  ...PAGES,
  ...VM_PROBLEMS,
} as const;
export type ReasonCode = keyof typeof PROBLEM_ENGLISH;

/** Values that a reason needs. */
export type ReasonPlaces<Code extends ReasonCode> = Places<
  typeof PROBLEM_ENGLISH[Code]["detail" | "hint"]
>;

/** Longest text that is said, and longest value in it: well within what reasonView takes. */
const TEXT_MAX = 2000;

function bounded(params: Params): Params {
  return Object.fromEntries(
    Object.entries(params).map(([name, value]) => [
      name,
      typeof value === "string" ? value.slice(0, TEXT_MAX) : value,
    ]),
  );
}

/** Why, in English and as code and values: what ProblemError is given. */
export function explained<Code extends ReasonCode>(
  code: Code,
  ...[params]: [ReasonPlaces<Code>] extends [never] ? [] : [Record<ReasonPlaces<Code>, string | number>]
): Explained {
  const values = bounded(params ?? {});
  const { detail, hint } = PROBLEM_ENGLISH[code];
  return {
    detail: fill(detail, values).slice(0, TEXT_MAX),
    hint: fill(hint, values).slice(0, TEXT_MAX),
    reason: { code, params: values },
  };
}
