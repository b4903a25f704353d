//! The folder tree of a mailbox: finding, making, renaming, moving and removing folders.

use super::folder::{Folder, FolderChange, ROOT, TOP};
use super::{FolderRefusal, Mailbox};

impl Mailbox {
    pub fn folder(&self, id: u32) -> Option<&Folder> {
        self.folders.get(&id)
    }

    pub fn folders(&self) -> impl Iterator<Item = &Folder> {
        self.folders.values()
    }

    pub fn children(&self, parent: u32) -> impl Iterator<Item = &Folder> {
        self.folders.values().filter(move |f| f.parent == parent)
    }

    pub fn well_known(&self, name: &str) -> Option<u32> {
        let name = name.to_ascii_lowercase();
        self.folders.values().find(|f| f.well_known == Some(name.as_str())).map(|f| f.id)
    }

    /// True for folders a user sees, that is everything under the top of the store.
    pub fn is_visible(&self, mut id: u32) -> bool {
        while let Some(folder) = self.folders.get(&id) {
            if folder.parent == TOP || id == TOP {
                return true;
            }
            id = folder.parent;
        }
        false
    }

    /// Display names from the top, joined by `/`; a slash inside a name becomes `\/`.
    pub fn path(&self, id: u32) -> String {
        let mut names = Vec::new();
        let mut at = id;
        while let Some(folder) = self.folders.get(&at) {
            if at == TOP || at == ROOT {
                break;
            }
            names.push(folder.name.replace('/', "\\/"));
            at = folder.parent;
        }
        names.reverse();
        names.join("/")
    }

    pub fn folder_by_path(&self, path: &str) -> Option<u32> {
        self.well_known(path).or_else(|| self.folders.keys().copied().find(|id| *id > TOP && self.path(*id) == path))
    }

    pub fn create_folder(&mut self, parent: u32, name: &str, hidden: bool) -> Result<u32, FolderRefusal> {
        if !self.folders.contains_key(&parent) {
            return Err(FolderRefusal::NotFound);
        }
        self.refuse_taken(parent, name, 0)?;
        Ok(self.insert_folder(parent, name, hidden))
    }

    pub fn mark_search(&mut self, id: u32) {
        if let Some(folder) = self.folders.get_mut(&id) {
            folder.search = true;
        }
    }

    pub fn rename_folder(&mut self, id: u32, name: &str) -> Result<(), FolderRefusal> {
        let parent = self.free_folder(id)?.parent;
        self.refuse_taken(parent, name, id)?;
        self.free_folder(id)?.name = name.to_owned();
        self.note_folder(id, false);
        Ok(())
    }

    pub fn move_folder(&mut self, id: u32, parent: u32) -> Result<(), FolderRefusal> {
        let name = self.free_folder(id)?.name.clone();
        let mut above = parent;
        while let Some(folder) = self.folders.get(&above) {
            if above == id {
                return Err(FolderRefusal::Protected);
            }
            above = folder.parent;
        }
        self.refuse_taken(parent, &name, id)?;
        self.free_folder(id)?.parent = parent;
        self.note_folder(id, false);
        Ok(())
    }

    /// Removes the folder, those below it, and all items in them.
    pub fn delete_folder(&mut self, id: u32) -> Result<(), FolderRefusal> {
        self.free_folder(id)?;
        let below: Vec<u32> = self.children(id).map(|f| f.id).collect();
        for child in below {
            self.drop_folder(child);
        }
        self.drop_folder(id);
        Ok(())
    }

    pub(super) fn drop_folder(&mut self, id: u32) {
        let below: Vec<u32> = self.children(id).map(|f| f.id).collect();
        for child in below {
            self.drop_folder(child);
        }
        if let Some(folder) = self.folders.remove(&id) {
            for item in folder.members {
                self.forget_entry(item);
            }
            self.note_folder(id, true);
        }
    }

    fn free_folder(&mut self, id: u32) -> Result<&mut Folder, FolderRefusal> {
        match self.folders.get_mut(&id) {
            None => Err(FolderRefusal::NotFound),
            Some(folder) if folder.well_known.is_some() || id == ROOT => Err(FolderRefusal::Protected),
            Some(folder) => Ok(folder),
        }
    }

    fn refuse_taken(&self, parent: u32, name: &str, except: u32) -> Result<(), FolderRefusal> {
        let wanted = name.to_lowercase();
        let taken = self.children(parent).any(|f| f.id != except && f.name.to_lowercase() == wanted);
        if taken { Err(FolderRefusal::NameTaken) } else { Ok(()) }
    }

    pub(super) fn insert_folder(&mut self, parent: u32, name: &str, hidden: bool) -> u32 {
        let id = self.next_folder;
        self.next_folder += 1;
        let mut folder = Folder::new(id, parent, name);
        folder.hidden = hidden;
        self.folders.insert(id, folder);
        self.note_folder(id, false);
        id
    }

    fn note_folder(&mut self, folder: u32, removed: bool) {
        self.seq += 1;
        self.folder_log.push(FolderChange { seq: self.seq, folder, removed });
    }
}
