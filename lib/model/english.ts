/** Every sentence that this node can say, in English: for the command line, logs and alerts. The page has them in each language (ui/i18n);
 * a code without its sentence does not compile. */

import { fill, type Sentence } from "./sentence.ts";

/** The one sentence about the pair (home), about a VM (state), and what happens if something dies (if). */
export const VERDICTS = {
  "home.no_pair": "This node is alone: nothing is protected before it is paired with a second one.",
  "home.no_vms": "No VM yet.",
  "home.protected": "Protected: safe to lose either machine.",
  "home.protected_manual":
    "Protected: nothing is lost if either machine dies; a person then confirms the takeover.",
  "home.protected_no_arbiter": "Protected, but nobody takes over by itself: the {arbiter} is not reachable.",
  "home.protected_one_line": "Protected: safe to lose either machine, but replication line {line} is down.",
  "home.protected_no_lan": "Protected, but the nodes do not hear each other on the LAN.",
  "home.unknown": "It is not known here whether {names} runs.",
  "home.stopped": "No VM runs.",
  "home.some_unprotected": "Not protected: {names} ({count} of {total} running VMs).",
  "home.syncing": "Not protected yet: {names} is being copied to {node} ({percent} %).",
  "home.vm_down": "{names} should run, and does not.",
  "home.undecided": "{names} stands still: it is not decided who goes on.",
  "home.diverged": "{names} ran on both nodes: a person has to pick.",
  "home.moving": "{names} is being moved to {node}.",
  "home.peer_lost": "{node} is not heard; {names} runs here without protection.",
  "home.peer_lost_idle": "{node} is not heard.",
  "home.peer_service_lost": "The service on {node} does not answer; the VMs are protected all the same.",
  "home.peer_lost_unknown": "{node} is not heard, and it is not known here whether {names} runs there.",
  "home.degraded":
    "{names} runs, but its backup does not keep up: the newest seconds are lost if its host dies.",
  "state.stopped": "Stopped.",
  "state.starting": "Is being started on {node}.",
  "state.unprotected": "Unprotected: runs on {node} alone; if {node} dies, it dies.",
  "state.unprotected_wanted": "Unprotected because somebody wanted it: runs on {node} alone.",
  "state.syncing": "Not protected yet: its copy on {node} is {percent} % done.",
  "state.protected": "Protected: safe to lose either machine.",
  "state.protected_no_arbiter": "Protected, but nobody takes over by itself: the arbiter is not reachable.",
  "state.protected_slow": "Protected, but slowed: its backup does not keep up.",
  "state.degraded":
    "Not protected without loss: the backup is behind; if {node} dies, the newest seconds are lost.",
  "state.moving": "Is being moved.",
  "state.deciding": "Stands still: its output is held until it is decided who goes on.",
  "state.taking_over": "Is being taken over by {node}.",
  "state.waiting": "Waits, and does not start by itself: {why}.",
  "state.diverged": "Ran on both nodes: compare the two, then give one up.",
  "state.failed": "Should run, and does not: {why}.",
  "state.unknown": "Not known: {node} is not heard, and it may run there.",
  "if.nothing": "No VM runs: nothing happens to any.",
  "if.node_goes_on": "{names} goes on, on {node}, after a short delay. Nothing is lost.",
  "if.node_waits": "{names} stands still until the {arbiter} is back, or a person decides. Nothing is lost.",
  "if.node_waits_person": "{names} stands still until a person confirms that {lost} is off. Nothing is lost.",
  "if.node_dies_too": "{names} stops with it, since it is not protected.",
  "if.node_backup": "{names} goes on where it runs, without protection.",
  "if.node_gone": "It is not heard already. {names} goes on where it runs, without protection as now.",
  "if.node_mixed": "{safe} goes on, on {node}. {lost_vms} stops, since it is not protected.",
  "if.line_moves": "The data moves to the other line. No VM notices.",
  "if.line_spare": "It carries nothing now. No VM notices.",
  "if.line_last": "It is the last line: the VMs go on where they run, without protection.",
  "if.line_down": "It is down already.",
  "if.lan": "Clients do not reach the VMs; the VMs and their protection go on.",
  "if.lan_down": "It is down already.",
  "if.witness": "The VMs go on, protected; but nobody takes over by itself until it is back.",
  "if.witness_down": "It is not reachable already: nobody takes over by itself.",
  "if.gateway":
    "The VMs go on, protected; but nobody takes over by itself while the gateway does not answer.",
  "if.arbiter_idle": "No VM is protected now: nothing depends on it.",
  "if.manual": "There is no arbiter: a person confirms each takeover.",
  "if.unset": "It is not set up.",
} as const;
export type VerdictCode = keyof typeof VERDICTS;

/** What to do next. */
export const NEXTS = {
  "next.pair": "Pair this node with the second one.",
  "next.set_up_links": "Say which addresses the two nodes reach each other by.",
  "next.create_vm": "Create or import a VM.",
  "next.start_vm": "Start it when it is wanted.",
  "next.protect": "Turn on protection.",
  "next.wait_sync": "Wait until the copy is made; about {seconds} s are left.",
  "next.wait": "Wait a moment; it needs nothing of you.",
  "next.check_peer":
    "Look whether {node} has power and its network cables; it joins by itself when it is back.",
  "next.check_line": "Look at the cable of line {line} on both machines.",
  "next.check_arbiter": "Look whether the {arbiter} has power and is reachable from both nodes.",
  "next.read_logs": "Read the VM's log, mend the cause, and start it again.",
  "next.confirm_off": "If {node} is surely off, say so: confirm that it is off.",
  "next.pick": "Compare the two, then discard the one that is to be given up.",
  "next.promote": "If {node} cannot come back, start the older copy here: promote it.",
  "next.faster_link": "Give the nodes a faster line, or the VM less to write.",
} as const;
export type NextCode = keyof typeof NEXTS;

/** What happened. Values in braces are those of the event. */
export const EVENTS = {
  "node.started": "The node's service started, version {version}.",
  "node.stopped": "The node's service stopped.",
  "node.peer_up": "{node} is heard.",
  "node.peer_lost": "{node} is not heard: {why}.",
  "pair.paired": "Paired with {node}.",
  "pair.removed": "The pair with {node} was dissolved.",
  "pair.replaced": "{node} is being replaced: it is refused from now on, whatever it says. VMs run on alone.",
  "pair.attempt_refused": "An attempt to pair was refused: {why}.",
  "pair.configured": "The pair's settings were changed.",
  "pair.stranger": "A machine that is not the other node was refused at the peer port: {address}.",
  "link.up": "Line {line} is up.",
  "link.down": "Line {line} is down: {why}.",
  "arbiter.reachable": "The {arbiter} is reachable.",
  "arbiter.lost": "The {arbiter} is not reachable: {why}.",
  "vm.created": "The VM was created.",
  "vm.deleted": "The VM was deleted; its disks were {disks}.",
  "vm.changed": "Settings were changed: {keys}.",
  "vm.starting": "Is being started.",
  "vm.runs": "Runs on {node}.",
  "vm.stopped": "Stopped: {why}.",
  "vm.syncing": "Its copy is being made.",
  "vm.protected": "Protected.",
  "vm.unprotected": "Not protected any more: {why}.",
  "vm.degraded": "Its backup does not keep up: {why}.",
  "vm.deciding": "Stands still until it is decided who goes on: {why}.",
  "vm.taken_over": "Was taken over by {node}.",
  "vm.switchover": "Was moved from {from} to {to}; it stood still for {pause_ms} ms.",
  "vm.switchover_failed": "Could not be moved: {why}.",
  "vm.waiting": "Waits: {why}.",
  "vm.diverged": "Ran on both nodes: {why}.",
  "vm.failed": "Does not run: {why}.",
  "vm.runner_restarted": "Its runner had ended and was started again: {why}.",
  "vm.relinked": "Runs on over the lines, and with the key, of the pair as it is now.",
  "vm.runner_adopted": "Its runner was found running and goes on.",
  "vm.alarm": "{text}",
  "vm.verified": "The copy was compared with the VM: {result}.",
  "user.created": "The account {user} was created.",
  "user.changed": "The account {user} was changed: {what}.",
  "user.deleted": "The account {user} was deleted.",
  "user.locked": "The account {user} was locked for a while after wrong passwords from {address}.",
  "alert.failed": "An alert could not be sent by {channel}: {why}.",
  "alert.test": "A test alert was sent by {channel}.",
  "alert.raised": "{text}",
  "alert.cleared": "This is over: {text}",
  "node.events_lost": "{count} events were not kept: {why}.",
  "node.events_begun_anew":
    "The file of events was damaged: it was put aside as {file}, and a new one begun.",
  "job.done": "{kind} of {subject} is done.",
  "job.failed": "{kind} of {subject} failed: {why}.",
  "config.changed": "Settings of this node were changed: {keys}.",
} as const;
export type EventCode = keyof typeof EVENTS;

/** Conditions that last, of which people are told (AlertView). */
export const ALERTS = {
  "alert.vm_unprotected": "VM {vm} runs on {node} without protection.",
  "alert.vm_degraded": "VM {vm}: its backup does not keep up; the newest seconds are lost if {node} dies.",
  "alert.vm_failed": "VM {vm} should run, and does not.",
  "alert.vm_deciding": "VM {vm} stands still: it is not decided who goes on.",
  "alert.vm_waiting": "VM {vm} waits, and does not start by itself.",
  "alert.vm_diverged": "VM {vm} ran on both nodes: a person has to pick.",
  "alert.peer_lost": "Node {node} is not heard.",
  "alert.line_down": "Replication line {line} is down.",
  "alert.lan_down": "The LAN between the nodes is down.",
  "alert.arbiter_lost": "The {arbiter} is not reachable: nobody takes over by itself.",
  "alert.disk_full": "The disk of node {node} is nearly full: {percent} % are free.",
  "alert.clock_offset": "The clocks of the two nodes differ by {ms} ms.",
  "alert.check_failed": "Check {check} failed on node {node}: {seen}",
  "alert.audit_broken": "The audit log of node {node} was changed or damaged: {why}",
  "alert.events_lost": "Node {node} does not keep its events: {why}",
} as const;
export type AlertCode = keyof typeof ALERTS;

/** All of them. */
export const ENGLISH: Readonly<Record<string, string>> = { ...VERDICTS, ...NEXTS, ...EVENTS, ...ALERTS };

/** A sentence in English; a code of a newer version is shown as it is. */
export function english(sentence: Sentence): string {
  const pattern = ENGLISH[sentence.code];
  return pattern === undefined
    ? `${sentence.code} ${JSON.stringify(sentence.params)}`
    : fill(pattern, sentence.params);
}
