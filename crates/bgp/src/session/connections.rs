//! The connections with a peer: one, or two until one of them is chosen.

use super::connection::Connection;
use super::event::Way;

/// At most one each way.
#[derive(Debug, Default)]
pub(super) struct Connections {
    out: Option<Connection>,
    into: Option<Connection>,
}

impl Connections {
    pub(super) fn get(&self, way: Way) -> Option<&Connection> {
        match way {
            Way::Out => self.out.as_ref(),
            Way::In => self.into.as_ref(),
        }
    }

    pub(super) fn get_mut(&mut self, way: Way) -> Option<&mut Connection> {
        self.place(way).as_mut()
    }

    pub(super) fn insert(&mut self, way: Way, connection: Connection) {
        *self.place(way) = Some(connection);
    }

    pub(super) fn take(&mut self, way: Way) -> Option<Connection> {
        self.place(way).take()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Connection> {
        self.out.iter().chain(&self.into)
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Connection> {
        self.out.iter_mut().chain(&mut self.into)
    }

    fn place(&mut self, way: Way) -> &mut Option<Connection> {
        match way {
            Way::Out => &mut self.out,
            Way::In => &mut self.into,
        }
    }
}
