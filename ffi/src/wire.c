#include "wire.h"

void frame_encode(const struct frame *f, uint8_t *out)
{
    put_le32(out, WIRE_MAGIC);
    put_le16(out + 4, WIRE_VERSION);
    put_le16(out + 6, f->type);
    put_le64(out + 8, f->generation);
    put_le64(out + 16, f->term);
    put_le64(out + 24, f->epoch);
    put_le64(out + 32, f->sequence);
    put_le32(out + 40, f->length);
    put_le32(out + 44, f->flags);
}

int frame_decode(struct frame *f, const uint8_t *in)
{
    if (get_le32(in) != WIRE_MAGIC)
        return -ISF_ECORRUPT;
    if (get_le16(in + 4) != WIRE_VERSION)
        return -ISF_EVERSION;
    f->type = get_le16(in + 6);
    f->generation = get_le64(in + 8);
    f->term = get_le64(in + 16);
    f->epoch = get_le64(in + 24);
    f->sequence = get_le64(in + 32);
    f->length = get_le32(in + 40);
    f->flags = get_le32(in + 44);
    if (f->type == 0 || f->type >= FRAME_TYPES || f->length > WIRE_PAYLOAD_MAX)
        return -ISF_ECORRUPT;
    return 0;
}
