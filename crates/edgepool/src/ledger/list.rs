//! A doubly linked list whose links stand in the entries, by index: removing from the middle is
//! O(1) and nothing is allocated.

use slab::Slab;

/// The index that means "no entry".
pub(crate) const NIL: u32 = u32::MAX;

/// The links that an entry carries. An entry is in at most one list at a time.
#[derive(Clone, Debug)]
pub(crate) struct Links {
    prev: u32,
    next: u32,
}

impl Links {
    pub(crate) const fn new() -> Self {
        Self { prev: NIL, next: NIL }
    }
}

/// An entry that can be in a [`List`].
pub(crate) trait Linked {
    fn links(&self) -> &Links;
    fn links_mut(&mut self) -> &mut Links;
}

/// The ends and the length of a list; the entries live in the slab that each call is given.
#[derive(Clone, Debug)]
pub(crate) struct List {
    head: u32,
    tail: u32,
    len: u32,
}

impl List {
    pub(crate) const fn new() -> Self {
        Self { head: NIL, tail: NIL, len: 0 }
    }

    pub(crate) const fn len(&self) -> u32 {
        self.len
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(crate) fn front(&self) -> Option<u32> {
        (self.head != NIL).then_some(self.head)
    }

    pub(crate) fn next<T: Linked>(store: &Slab<T>, index: u32) -> Option<u32> {
        let next = store[index as usize].links().next;
        (next != NIL).then_some(next)
    }

    #[inline(always)]
    pub(crate) fn push_back<T: Linked>(&mut self, store: &mut Slab<T>, index: u32) {
        *store[index as usize].links_mut() = self.links_of_last();
        self.push_back_linked(store, index);
    }

    /// The links of an entry that is to be the last.
    #[inline(always)]
    pub(crate) const fn links_of_last(&self) -> Links {
        Links { prev: self.tail, next: NIL }
    }

    /// As [`push_back`](Self::push_back), for an entry that has its links already.
    #[inline(always)]
    pub(crate) fn push_back_linked<T: Linked>(&mut self, store: &mut Slab<T>, index: u32) {
        match core::mem::replace(&mut self.tail, index) {
            NIL => self.head = index,
            last => store[last as usize].links_mut().next = index,
        }
        self.len += 1;
    }

    pub(crate) fn insert_before<T: Linked>(&mut self, store: &mut Slab<T>, at: u32, index: u32) {
        let prev = store[at as usize].links().prev;
        self.link(store, prev, index, at);
    }

    #[inline(always)]
    pub(crate) fn pop_back<T: Linked>(&mut self, store: &mut Slab<T>) -> Option<u32> {
        if self.tail == NIL {
            return None;
        }
        // The links of an entry that is in no list are nobody's: they are set when it joins one.
        let last = self.tail;
        self.tail = store[last as usize].links().prev;
        match self.tail {
            NIL => self.head = NIL,
            prev => store[prev as usize].links_mut().next = NIL,
        }
        self.len -= 1;
        Some(last)
    }

    pub(crate) fn pop_front<T: Linked>(&mut self, store: &mut Slab<T>) -> Option<u32> {
        let first = self.front()?;
        self.remove(store, first);
        Some(first)
    }

    pub(crate) fn push_front<T: Linked>(&mut self, store: &mut Slab<T>, index: u32) {
        self.link(store, NIL, index, self.head);
    }

    pub(crate) fn back(&self) -> Option<u32> {
        (self.tail != NIL).then_some(self.tail)
    }

    pub(crate) fn remove<T: Linked>(&mut self, store: &mut Slab<T>, index: u32) {
        let Links { prev, next } =
            core::mem::replace(store[index as usize].links_mut(), Links::new());
        match prev {
            NIL => self.head = next,
            _ => store[prev as usize].links_mut().next = next,
        }
        match next {
            NIL => self.tail = prev,
            _ => store[next as usize].links_mut().prev = prev,
        }
        self.len -= 1;
    }

    pub(crate) fn iter<'a, T: Linked>(&self, store: &'a Slab<T>) -> impl Iterator<Item = u32> + 'a {
        core::iter::successors(self.front(), |&index| Self::next(store, index))
    }

    fn link<T: Linked>(&mut self, store: &mut Slab<T>, prev: u32, index: u32, next: u32) {
        *store[index as usize].links_mut() = Links { prev, next };
        match prev {
            NIL => self.head = index,
            _ => store[prev as usize].links_mut().next = index,
        }
        match next {
            NIL => self.tail = index,
            _ => store[next as usize].links_mut().prev = index,
        }
        self.len += 1;
    }
}

/// Entries in a row, the one that came last first. It is all that a waiter needs to hold what is
/// set aside for it, and a third of a [`List`].
#[derive(Clone, Debug)]
pub(crate) struct Chain {
    head: u32,
}

impl Chain {
    pub(crate) const fn new() -> Self {
        Self { head: NIL }
    }

    pub(crate) fn front(&self) -> Option<u32> {
        (self.head != NIL).then_some(self.head)
    }

    pub(crate) fn push<T: Linked>(&mut self, store: &mut Slab<T>, index: u32) {
        store[index as usize].links_mut().next = core::mem::replace(&mut self.head, index);
    }

    pub(crate) fn pop<T: Linked>(&mut self, store: &mut Slab<T>) -> Option<u32> {
        let first = self.front()?;
        self.head = core::mem::replace(store[first as usize].links_mut(), Links::new()).next;
        Some(first)
    }

    pub(crate) fn iter<'a, T: Linked>(&self, store: &'a Slab<T>) -> impl Iterator<Item = u32> + 'a {
        core::iter::successors(self.front(), |&index| List::next(store, index))
    }
}
