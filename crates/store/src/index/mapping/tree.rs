//! A mapping as documents are walked along it

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::{Dynamic, Field, Kind, Parts};

/// The number of a field in [`Tree::slots`].
pub type SlotId = u32;

#[derive(Debug, Default)]
pub struct Tree {
    pub slots: Vec<Slot>,
    pub root: Branch,
    /// Fields that every document has, and their value.
    pub constants: Vec<(SlotId, String)>,
}

/// A field, and where else its values go.
#[derive(Debug)]
pub struct Slot {
    pub field: Arc<Field>,
    /// Its multi-fields.
    pub subs: Vec<SlotId>,
    /// Fields that it is copied to.
    pub copies: Vec<SlotId>,
    /// Of a point: where its two numbers are.
    pub latitude: String,
    pub longitude: String,
}

#[derive(Debug, Default)]
pub struct Branch {
    pub path: String,
    pub children: FxHashMap<Box<str>, Child>,
    pub dynamic: Dynamic,
    pub disabled: bool,
}

#[derive(Debug)]
pub enum Child {
    Branch(Branch),
    Field(SlotId),
}

impl Tree {
    pub(super) fn new(parts: &Parts) -> Self {
        let ids: FxHashMap<&str, SlotId> = (0..)
            .zip(parts.fields.keys())
            .map(|(id, path)| (path.as_str(), id))
            .collect();
        let mut tree = Self::default();
        for object in parts.objects.values() {
            if object.path.is_empty() {
                tree.root.dynamic = object.dynamic.unwrap_or_default();
                tree.root.disabled = object.disabled;
                continue;
            }
            // Parents come first, as their paths are the beginnings of their children's.
            tree.root.put(&object.path, |parent| {
                Child::Branch(Branch {
                    path: object.path.clone(),
                    children: FxHashMap::default(),
                    dynamic: object.dynamic.unwrap_or(parent.dynamic),
                    disabled: object.disabled,
                })
            });
        }
        for (id, field) in (0..).zip(parts.fields.values()) {
            let copies = field
                .copy_to
                .iter()
                .filter_map(|path| ids.get(path.as_str()).copied())
                .collect();
            tree.slots.push(Slot {
                field: field.clone(),
                subs: Vec::new(),
                copies,
                latitude: format!("{}.lat", field.path),
                longitude: format!("{}.lon", field.path),
            });
            if let Kind::ConstantKeyword { value: Some(value) } = &field.kind {
                tree.constants.push((id, value.clone()));
            }
            match &field.parent {
                // A field comes before its multi-fields.
                Some(parent) => {
                    if let Some(slot) = ids
                        .get(parent.as_str())
                        .and_then(|id| tree.slots.get_mut(*id as usize))
                    {
                        slot.subs.push(id);
                    }
                }
                None => tree.root.put(&field.path, |_| Child::Field(id)),
            }
        }
        tree
    }

    pub fn slot(&self, id: SlotId) -> &Slot {
        &self.slots[id as usize]
    }
}

impl Branch {
    /// The branch that holds the last name of a path.
    fn holding(&mut self, path: &str) -> Option<&mut Branch> {
        match path.split_once('.') {
            None => Some(self),
            Some((name, below)) => match self.children.get_mut(name) {
                Some(Child::Branch(branch)) => branch.holding(below),
                _ => None,
            },
        }
    }

    /// Puts a child where its path says; its parents are there already.
    fn put(&mut self, path: &str, child: impl FnOnce(&Branch) -> Child) {
        if let Some(parent) = self.holding(path) {
            let child = child(parent);
            parent.children.insert(name_of(path).into(), child);
        }
    }
}

fn name_of(path: &str) -> &str {
    path.rsplit_once('.').map_or(path, |(_, name)| name)
}
