/**
 * The fields of the text of /proc/PID/stat from `state` on (proc(5)): state, ppid, pgrp, and so on. They are counted from the last
 * parenthesis, since a command's name may hold spaces and parentheses.
 */
export function statFields(stat: string): readonly string[] {
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ');
}
