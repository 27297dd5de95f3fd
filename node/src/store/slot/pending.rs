//! Where what a snapshot is still to have of a slot is kept.

use super::{SlotGuard, Table};
use crate::store::snapshot::Pending;

impl SlotGuard<'_> {
    /// Whether a snapshot is still to have some of the slot.
    #[inline]
    pub(in crate::store) fn is_unreached(&self) -> bool {
        self.cell.is_unreached()
    }

    /// What a snapshot is still to have. Made from the databases that there are now, if it was not
    /// there: it is asked for before the first change.
    pub(in crate::store) fn pending(&mut self) -> &mut Pending {
        let extra = self.data().extra.as_ref();
        if extra.is_none_or(|extra| extra.pending.is_none()) {
            let pending = Box::new(Pending::new(self.databases()));
            self.data_mut().extra.get_or_insert_default().pending = Some(pending);
        }
        let extra = self.data_mut().extra.get_or_insert_default();
        extra.pending.get_or_insert_default()
    }

    /// A snapshot is to have more of the slot, though not from what there is; whether it was done
    /// with it.
    pub(in crate::store) fn reopen_pending(&mut self) -> bool {
        if self.cell.is_unreached() {
            return false;
        }
        self.cell.set_unreached(true);
        self.data_mut().extra.get_or_insert_default().pending = Some(Box::default());
        true
    }

    /// Works on a database's table, and on what a snapshot is still to have of the slot.
    pub(in crate::store) fn with_pending<R>(
        &mut self,
        db: u16,
        work: impl FnOnce(&mut Table, Option<&mut Pending>) -> R,
    ) -> Option<R> {
        let data = self.data_mut();
        if db == 0 {
            let extra = data.extra.as_mut();
            let pending = extra.and_then(|extra| extra.pending.as_deref_mut());
            return Some(work(&mut data.table, pending));
        }
        let extra = data.extra.as_mut()?;
        let table = extra.others.iter_mut().find(|other| other.index == db)?;
        Some(work(&mut table.table, extra.pending.as_deref_mut()))
    }

    /// Nothing is kept for a snapshot from now on; what was.
    pub(in crate::store) fn end_pending(&mut self) -> Option<Box<Pending>> {
        self.cell.set_unreached(false);
        let extra = &mut self.data_mut().extra;
        let pending = extra.as_mut()?.pending.take();
        if extra.as_ref().is_some_and(|extra| extra.others.is_empty()) {
            *extra = None;
        }
        pending
    }
}
