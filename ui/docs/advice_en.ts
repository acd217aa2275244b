/** What each event means for the reader, and what to do: the documentation's list, in English. A code without its text does not compile. */

import type { AlertCode, EventCode } from "../../lib/model/english.ts";

/** By code. */
export const ADVICE_EN: Readonly<Record<EventCode | AlertCode, string>> = {
  "node.started":
    "The service is up: after a start of the PC, an upgrade, or a fault of its own. VMs were not touched. Nothing to do.",
  "node.stopped":
    "Somebody stopped the service, or the PC is going down. VMs run on without it. Start it again: `systemctl start iservft-edge`.",
  "node.peer_up": "The two nodes hear each other again. Copies are brought up to date by themselves.",
  "node.peer_lost": "Look whether the other node has power and its cables, and whether its service runs.",
  "node.events_lost":
    "The disk was full or too slow for a moment. Look at free space; the VMs are not concerned.",
  "node.events_begun_anew":
    "The file was damaged, for example by a power loss on a disk that lies about its cache. The old one is kept beside it. Check the disk's health (`smartctl -a`).",
  "pair.paired": "The nodes trust each other's certificates now.",
  "pair.removed": "The nodes do not trust each other any more. To protect VMs, pair again.",
  "pair.replaced":
    "Pair with the new node now; until then no VM is protected. The old PC must never start again with its disks as they are.",
  "pair.attempt_refused":
    "Somebody typed a wrong or an old code, or the six digits were not confirmed. If it was not you, find out who is on that network.",
  "pair.configured": "Somebody changed lines, LAN, or who decides. VMs take it over as the page says.",
  "pair.stranger":
    "A machine without the other node's certificate knocked at TCP 7811: a scanner, a wrongly addressed node, or the old node after a replacement. Close the port for others with the firewall.",
  "link.up": "The line carries data again. Nothing to do.",
  "link.down":
    "Look at the cable, the network card and their lights at both ends. With the other line up, no VM notices.",
  "arbiter.reachable": "Nodes may take over by themselves again.",
  "arbiter.lost":
    "Look at the witness (or the gateway) and the way to it. Until it is back nobody takes over by himself; the VMs run on, protected.",
  "vm.created": "Start it when it is wanted.",
  "vm.deleted": "If its disks were kept, they are still in the data directory, below `vms/`.",
  "vm.changed": "Most settings take effect at the VM's next start.",
  "vm.starting": "Wait a moment.",
  "vm.runs": "Look whether it is protected, too.",
  "vm.stopped": "If nobody wanted this, look into the guest: it may have shut itself down.",
  "vm.syncing": "Until the copy is made, the VM is not protected. The VM's page shows how long it takes.",
  "vm.protected": "Either machine may die now.",
  "vm.unprotected":
    "If nobody wanted this: look at the other node, its power and the lines. It becomes protected again by itself.",
  "vm.degraded": "The VM writes more than the line carries. A faster line, or a guest that writes less.",
  "vm.deciding":
    "Usually over within a second. If it stays, the arbiter is not reachable: mend that, or a person decides on the VM's page.",
  "vm.taken_over":
    "A fault was survived. Find out why the other node was lost before the next one: look at its events.",
  "vm.switchover": "Done as asked.",
  "vm.switchover_failed": "The VM runs on where it was. Mend what is said, and try again.",
  "vm.waiting": "Bring the other node back. Only if it is lost for good, start the older copy that is here.",
  "vm.diverged": "Compare what both have, then discard one on the VM's page.",
  "vm.failed": "Read the VM's log, mend the cause, start it again.",
  "vm.runner_restarted": "Its process had ended unexpectedly. If it happens again, make a support bundle.",
  "vm.relinked":
    "The VM ran on without a pause. Its copy is made on the other node next; wait until it says Protected.",
  "vm.runner_adopted": "The service was restarted and found the VM running. Nothing to do.",
  "vm.alarm": "The VM's runner says this itself; its text names the cause.",
  "vm.verified":
    "If it differs: the copy is made anew by itself; if it differs again, suspect memory or disk of the node (memory test, `smartctl -a`).",
  "user.created": "If you do not know why, ask who did it: the event names them.",
  "user.changed": "As above.",
  "user.deleted": "Their sessions have ended.",
  "user.locked":
    "Somebody guesses passwords, or forgot theirs. If the address is not one of yours, find the machine.",
  "alert.failed":
    "You would not be told by this way! Press **Send a test** at the channel, and read what the server says.",
  "alert.test": "Did it arrive?",
  "alert.raised": "A condition began or lasts: see the list of conditions below.",
  "alert.cleared": "It is over. Nothing to do.",
  "job.done": "Nothing to do.",
  "job.failed": "The job's line on the page says why and what to do. What was made so far is removed.",
  "config.changed": "If you do not know why, ask who did it: the event names them.",
  "alert.vm_unprotected": "See [Unprotected](states#unprotected).",
  "alert.vm_degraded": "See [Degraded](states#degraded).",
  "alert.vm_failed": "See [Should run, and does not](states#should-run-and-does-not).",
  "alert.vm_deciding": "See [who decides](witness#when-the-witness-is-lost).",
  "alert.vm_waiting": "See [Waiting](states#waiting).",
  "alert.vm_diverged": "See [Ran on both nodes](states#ran-on-both-nodes).",
  "alert.peer_lost": "See [the other node is not heard](troubleshooting#the-other-node-is-not-heard).",
  "alert.line_down": "Look at the cable, the network card and their lights at both ends.",
  "alert.lan_down": "Look at the switch and the cables to it. Clients may not reach the VMs.",
  "alert.arbiter_lost": "See [when the witness is lost](witness#when-the-witness-is-lost).",
  "alert.disk_full":
    "Delete what is not needed: old imports, disks of deleted VMs. A VM whose disk cannot be written stops.",
  "alert.clock_offset":
    "Let both nodes get their time from the same server (`timedatectl`). VMs are not concerned; times of events are.",
  "alert.check_failed": "Open Doctor: it says how to mend this.",
  "alert.audit_broken":
    "Somebody with root changed the log, or the disk is damaged. Keep a copy of the files and find out who had access.",
  "alert.events_lost": "Look at free space and health of the disk.",
};
