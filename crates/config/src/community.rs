//! BGP communities, and names for them.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use kube::ResourceExt;
use metallb_crds::v1beta1;

/// A BGP community, read from `64512:100` or `large:64512:100:1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Community {
    /// Of two numbers (RFC 1997).
    Standard(u16, u16),
    /// Of three numbers (RFC 8092).
    Large(u32, u32, u32),
}

/// Why a text is not a community.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommunityError {
    /// A part is not a number, or too large a one.
    #[error(
        "invalid community value: invalid section {section:?} of community {text:?}: write a \
         number up to {max}"
    )]
    Section {
        /// The part.
        section: String,
        /// The whole.
        text: String,
        /// The largest number that fits.
        max: u32,
    },
    /// Four parts, but not those of a large community.
    #[error(
        "invalid community value: invalid marker for large community, expected community to be \
         of format large:<uint32>:<uint32>:<uint32> but got {0:?} instead"
    )]
    Marker(String),
    /// Neither two parts nor four.
    #[error("invalid community format: {}", .0.escape_debug())]
    Format(String),
}

/// A Community object: names that advertisements may use for communities.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CommunityNames {
    /// Its own name.
    pub name: String,
    /// The identity of its object, when the API server gave it one.
    pub uid: Option<String>,
    /// What the names stand for.
    pub values: BTreeMap<String, Community>,
}

/// Why a Community object is unusable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommunityNamesError {
    /// A value that is no community.
    #[error("parsing community {name:?}: {error}")]
    Value {
        /// The name it was given.
        name: String,
        /// What is wrong with it.
        error: CommunityError,
    },
    /// A name that is there already, in the same object or in an older one.
    #[error("duplicate definition of community {0:?}")]
    Duplicate(String),
    /// There is an older object of the same name.
    #[error("duplicate definition of communities {0:?}")]
    Name(String),
}

impl FromStr for Community {
    type Err = CommunityError;

    fn from_str(text: &str) -> Result<Self, CommunityError> {
        let sections: Vec<_> = text.split(':').collect();
        let refused = |section: &str, max| CommunityError::Section {
            section: section.to_owned(),
            text: text.to_owned(),
            max,
        };
        let small = |section| number(section).ok_or_else(|| refused(section, u16::MAX.into()));
        let large = |section| number(section).ok_or_else(|| refused(section, u32::MAX));
        match sections[..] {
            [a, b] => Ok(Self::Standard(small(a)?, small(b)?)),
            ["large", a, b, c] => Ok(Self::Large(large(a)?, large(b)?, large(c)?)),
            [_, _, _, _] => Err(CommunityError::Marker(text.to_owned())),
            _ => Err(CommunityError::Format(text.to_owned())),
        }
    }
}

impl fmt::Display for Community {
    /// As it is written in objects.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Standard(a, b) => write!(f, "{a}:{b}"),
            Self::Large(a, b, c) => write!(f, "large:{a}:{b}:{c}"),
        }
    }
}

impl TryFrom<&v1beta1::Community> for CommunityNames {
    type Error = CommunityNamesError;

    /// What the object says on its own, whatever others there are.
    fn try_from(object: &v1beta1::Community) -> Result<Self, CommunityNamesError> {
        let mut values = BTreeMap::new();
        for v1beta1::CommunityAlias { name, value } in &object.spec.communities {
            let value = value.parse().map_err(|error| CommunityNamesError::Value {
                name: name.clone(),
                error,
            })?;
            if values.insert(name.clone(), value).is_some() {
                return Err(CommunityNamesError::Duplicate(name.clone()));
            }
        }
        Ok(Self {
            name: object.name_any(),
            uid: object.uid(),
            values,
        })
    }
}

/// Digits alone: `parse` would take a plus sign too, which upstream does not.
fn number<T: FromStr>(text: &str) -> Option<T> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok())?
}
