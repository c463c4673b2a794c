//! The operations that are measured.

/// The classes of requests that are measured separately.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    /// A page of a listing.
    List,
    Head,
    /// A read, measured until its first byte can be read.
    Get,
    Put,
    /// A part of an upload.
    Part,
    Complete,
    Delete,
    /// A copy by the store itself, of an object or a part.
    Copy,
    /// Creating or aborting an upload.
    Upload,
}

impl Operation {
    pub(crate) const ALL: [Self; 9] = [
        Self::List,
        Self::Head,
        Self::Get,
        Self::Put,
        Self::Part,
        Self::Complete,
        Self::Delete,
        Self::Copy,
        Self::Upload,
    ];

    /// The class of an operation of a store, by its name; `None` if it is not measured.
    pub(crate) fn of(name: &str) -> Option<Self> {
        Some(match name {
            "list" => Self::List,
            "head" => Self::Head,
            "get" => Self::Get,
            "put" => Self::Put,
            "upload_part" => Self::Part,
            "complete_upload" => Self::Complete,
            "delete" => Self::Delete,
            "copy" | "copy_part" => Self::Copy,
            "create_upload" | "abort_upload" => Self::Upload,
            // What asks the file system, signs, or lists versions and uploads.
            _ => return None,
        })
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::List => "list",
            Self::Head => "head",
            Self::Get => "get",
            Self::Put => "put",
            Self::Part => "part",
            Self::Complete => "complete",
            Self::Delete => "delete",
            Self::Copy => "copy",
            Self::Upload => "upload",
        }
    }
}
