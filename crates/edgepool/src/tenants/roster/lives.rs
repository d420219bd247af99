//! How tenants get their places, and lose them.

use std::collections::VecDeque;

use slab::Slab;

use super::tenant::Filed;
use super::{Call, Effect, Life, List, Roster};

/// Lives.
impl Roster {
    /// Serves whom it can: the line first, then those who want more.
    pub(super) fn settle(&mut self) {
        self.serve_line();
        self.feed();
        self.raise();
    }

    /// Gives places to those in the line, and sees to it that there are enough on their way.
    pub(super) fn serve_line(&mut self) {
        while let Some(index) = self.line.front() {
            if self.placed >= self.limits.places {
                if self.lacks_leavers() && self.evict_one() {
                    continue;
                }
                return;
            }
            if !self.has_unit() && !self.reclaim(index) && !self.evict_one() {
                return;
            }
            self.tenants[index as usize].life = Life::Opening;
            self.refile(index);
            self.placed += 1;
            self.endow(index);
        }
    }

    /// Tells whether too few are on their way out for those in the line. A lease may be out for long,
    /// so who has one counts only where another such would have to go.
    const fn lacks_leavers(&self) -> bool {
        let coming = if self.idle.is_empty() { self.leaving } else { self.empty };
        coming < self.line.len()
    }

    /// Sees to it that the least recently used tenant goes: an idle one, or else a busy one.
    pub(super) fn evict_one(&mut self) -> bool {
        let victim = self.idle.front().or_else(|| self.busy.front());
        victim.inspect(|&index| self.evict(index)).is_some()
    }

    /// Takes nobody in any more, and closes when those inside are gone.
    pub(super) fn evict(&mut self, index: u32) {
        self.tenants[index as usize].life = Life::Leaving;
        self.leaving += 1;
        self.refile(index);
        self.set_grant(index, 0);
        self.close_if_empty(index);
    }

    pub(super) fn close_if_empty(&mut self, index: u32) {
        let tenant = &self.tenants[index as usize];
        if tenant.life == Life::Leaving && tenant.inside == 0 {
            self.begin_closing(index);
        }
    }

    pub(super) fn begin_closing(&mut self, index: u32) {
        let tenant = &mut self.tenants[index as usize];
        self.leaving += u32::from(!tenant.is_leaving());
        self.empty += u32::from(tenant.inside == 0);
        tenant.life = Life::Closing;
        self.refile(index);
        self.set_grant(index, 0);
        self.effects.push_back(Effect::Close(self.key(index)));
    }

    pub(super) fn end(&mut self, index: u32, why: Call) {
        self.call(index, why);
        match self.tenants[index as usize].life {
            Life::Out | Life::Closing => {}
            Life::InLine => self.vacate(index),
            Life::Opening if self.waits_for_budget(index) => self.vacate(index),
            Life::Opening => self.tenants[index as usize].doomed = true,
            Life::Open | Life::Leaving => {
                self.tenants[index as usize].turn_away(why);
                self.begin_closing(index);
            }
        }
    }

    pub(super) fn call(&mut self, index: u32, call: Call) {
        let called = self.tenants[index as usize].call(call);
        if called > 0 {
            self.outside -= called;
            self.sort(index);
            self.effects.push_back(Effect::Wake(self.key(index)));
        }
    }

    /// Ends the life of a pool that has closed, if nothing of it is left.
    pub(super) fn vacate_if_over(&mut self, index: u32) {
        let tenant = &self.tenants[index as usize];
        let holds = tenant.holding + tenant.purse.held > 0;
        if tenant.life == Life::Closing && tenant.drained && !holds {
            self.vacate(index);
        }
    }

    /// Takes a tenant's place from it. It stands in the line again if it has callers outside, and is
    /// forgotten otherwise.
    pub(super) fn vacate(&mut self, index: u32) {
        let tenant = &mut self.tenants[index as usize];
        self.placed -= u32::from(tenant.is_placed());
        self.leaving -= u32::from(tenant.is_leaving());
        self.empty -= u32::from(tenant.is_leaving() && tenant.inside == 0);
        (tenant.purse.bound, tenant.purse.set) = (0, 0);
        tenant.drained = false;
        tenant.inside = 0;
        tenant.pool = tenant.pool.wrapping_add(1);
        tenant.life = if tenant.outside > 0 { Life::InLine } else { Life::Out };
        self.set_grant(index, 0);
        self.recharge(index);
        self.refile(index);
        if !self.forget_if_over(index) {
            // Somebody may wait for the end of what there was.
            self.effects.push_back(Effect::Wake(self.key(index)));
        }
    }

    pub(super) fn forget_if_over(&mut self, index: u32) -> bool {
        let is_over = self.tenants[index as usize].is_over();
        if is_over {
            self.effects.push_back(Effect::Gone(self.key(index)));
        }
        is_over
    }

    /// Gives the memory of a crowd back that is gone.
    pub(super) fn shrink(&mut self) {
        self.tenants = Slab::new();
        self.raising = VecDeque::new();
    }

    /// Takes note that a tenant was used now.
    pub(super) fn touch(&mut self, index: u32) {
        self.tenants[index as usize].since = self.now;
        if self.tenants[index as usize].filed != Filed::Line {
            self.unfile(index);
        }
        self.refile(index);
        self.sort(index);
    }

    /// Puts a tenant at the end of the list that it belongs to, unless it is in that one.
    pub(super) fn refile(&mut self, index: u32) {
        let file = self.tenants[index as usize].file();
        if self.tenants[index as usize].filed != file {
            self.unfile(index);
            self.tenants[index as usize].filed = file;
            let Self { tenants, line, idle, busy, .. } = self;
            if let Some(list) = list(file, line, idle, busy) {
                list.push_back(tenants, index);
            }
        }
    }

    pub(super) fn unfile(&mut self, index: u32) {
        let filed = std::mem::replace(&mut self.tenants[index as usize].filed, Filed::Nowhere);
        let Self { tenants, line, idle, busy, .. } = self;
        if let Some(list) = list(filed, line, idle, busy) {
            list.remove(tenants, index);
        }
    }
}

const fn list<'a>(
    filed: Filed,
    line: &'a mut List,
    idle: &'a mut List,
    busy: &'a mut List,
) -> Option<&'a mut List> {
    match filed {
        Filed::Nowhere => None,
        Filed::Line => Some(line),
        Filed::Idle => Some(idle),
        Filed::Busy => Some(busy),
    }
}
