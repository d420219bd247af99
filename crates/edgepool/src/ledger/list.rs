//! A doubly linked list whose links stand in the entries, by index: removing from the middle is
//! O(1) and nothing is allocated.

use slab::Slab;

/// The index that means "no entry".
pub(super) const NIL: u32 = u32::MAX;

/// The links that an entry carries. An entry is in at most one list at a time.
#[derive(Debug)]
pub(super) struct Links {
    prev: u32,
    next: u32,
}

impl Links {
    pub(super) const fn new() -> Self {
        Self { prev: NIL, next: NIL }
    }
}

/// An entry that can be in a [`List`].
pub(super) trait Linked {
    fn links(&self) -> &Links;
    fn links_mut(&mut self) -> &mut Links;
}

/// The ends and the length of a list; the entries live in the slab that each call is given.
#[derive(Debug)]
pub(super) struct List {
    head: u32,
    tail: u32,
    len: u32,
}

impl List {
    pub(super) const fn new() -> Self {
        Self { head: NIL, tail: NIL, len: 0 }
    }

    pub(super) const fn len(&self) -> u32 {
        self.len
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(super) fn front(&self) -> Option<u32> {
        (self.head != NIL).then_some(self.head)
    }

    pub(super) fn next<T: Linked>(store: &Slab<T>, index: u32) -> Option<u32> {
        let next = store[index as usize].links().next;
        (next != NIL).then_some(next)
    }

    // The two at the end are the whole of the idle list's work, and do no more than they must.
    pub(super) fn push_back<T: Linked>(&mut self, store: &mut Slab<T>, index: u32) {
        *store[index as usize].links_mut() = Links { prev: self.tail, next: NIL };
        match std::mem::replace(&mut self.tail, index) {
            NIL => self.head = index,
            last => store[last as usize].links_mut().next = index,
        }
        self.len += 1;
    }

    pub(super) fn insert_before<T: Linked>(&mut self, store: &mut Slab<T>, at: u32, index: u32) {
        let prev = store[at as usize].links().prev;
        self.link(store, prev, index, at);
    }

    pub(super) fn pop_back<T: Linked>(&mut self, store: &mut Slab<T>) -> Option<u32> {
        if self.tail == NIL {
            return None;
        }
        let last = self.tail;
        self.tail = std::mem::replace(store[last as usize].links_mut(), Links::new()).prev;
        match self.tail {
            NIL => self.head = NIL,
            prev => store[prev as usize].links_mut().next = NIL,
        }
        self.len -= 1;
        Some(last)
    }

    pub(super) fn remove<T: Linked>(&mut self, store: &mut Slab<T>, index: u32) {
        let Links { prev, next } =
            std::mem::replace(store[index as usize].links_mut(), Links::new());
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

    pub(super) fn iter<'a, T: Linked>(&self, store: &'a Slab<T>) -> impl Iterator<Item = u32> + 'a {
        std::iter::successors(self.front(), |&index| Self::next(store, index))
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
