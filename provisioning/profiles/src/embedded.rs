//! The profiles of this folder, compiled in: a hub needs nothing beside its binary.

/// A profile's name and its text.
macro_rules! embedded {
    ($($name:literal),+ $(,)?) => {
        [$(($name, include_str!(concat!("../", $name, ".toml")))),+]
    };
}

/// By name. A file that is not here is found by the tests.
pub(crate) const EMBEDDED: [(&str, &str); 28] = embedded![
    "abb-b23",
    "abb-terra-ac",
    "advantech-adam-6050",
    "advantech-adam-6051",
    "alfen-eve",
    "carlo-gavazzi-em24-e1",
    "delta-ohm-pmbsense-a",
    "dfrobot-urm12",
    "eastron-sdm120",
    "eastron-sdm630",
    "eastron-sdm72d-m-v2",
    "epever-tracer",
    "intesis-ibmbsdal0640000",
    "janitza-umg96rm",
    "keba-kecontact-p30",
    "lufft-ws600-umb",
    "moxa-iologik-e1214",
    "peacefair-pzem-016",
    "phoenix-contact-em-cp-pp-eth",
    "schneider-iem3155",
    "seeed-s-co2-03",
    "seeed-sensecap-orch-s4",
    "sonbest-sm7901b",
    "sunspec-inverter-103",
    "vaisala-gmp252",
    "vaisala-wxt530",
    "victron-gx",
    "waveshare-modbus-rtu-relay",
];
