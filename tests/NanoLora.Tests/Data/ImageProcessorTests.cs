using NanoLora.Data;

namespace NanoLora.Tests.Data;

public sealed class ImageProcessorTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("nanolora-processor-").FullName;

    private static readonly Picture Photo = new(5, 4, 3, [.. Enumerable.Range(0, 60).Select(i => (byte)new Philox(2, 2).Bits((ulong)i))]);

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    private ImageProcessor Load(string json, ImageSize? size = null, string file = "preprocessor_config.json")
    {
        File.WriteAllText(Path.Combine(_folder, file), json);
        return ImageProcessor.Load(_folder, size ?? new(3, 4, 4));
    }

    [Fact]
    public void Without_a_config_the_model_says_size_and_numbers()
    {
        var processor = ImageProcessor.Load(_folder, new(1, 2, 3), [0.25f], [0.5f]);
        Assert.Equal(new ImageSize(1, 2, 3), processor.Size);
        var shaped = processor.Shape(Photo);
        Assert.Equal(PillowResize.Resize(Photo.As(1), 3, 2, ResizeFilter.Bilinear).Pixels, shaped);
        var y = new float[6];
        processor.Apply(Photo, y);
        for (var i = 0; i < 6; i++) Assert.Equal((shaped[i] / 255.0 - 0.25) / 0.5, y[i], 1e-6);
    }

    [Fact]
    public void A_picture_of_the_models_size_is_left_as_it_is()
    {
        var processor = ImageProcessor.Load(_folder, new(3, 4, 5));
        Assert.Equal(Photo.Planes(), processor.Shape(Photo));
        Assert.Equal([Photo.Pixels[0], Photo.Pixels[3]], processor.Shape(Photo)[..2]);
    }

    [Fact]
    public void The_file_in_the_folder_stands_for_the_folder()
    {
        Load("""{"size": 7}""");
        File.WriteAllText(Path.Combine(_folder, "model.safetensors"), "");
        Assert.Equal(new ImageSize(3, 7, 7), ImageProcessor.Load(Path.Combine(_folder, "model.safetensors"), new(3, 4, 4)).Size);
    }

    [Fact]
    public void What_a_file_does_not_say_is_the_default_of_its_class()
    {
        Assert.Equal(new ImageSize(3, 224, 224), Load("{}").Size);
        Assert.Equal([0.5f, 0.5f, 0.5f], Load("{}").Normalisation.Mean);
        var clip = Load("""{"image_processor_type": "CLIPImageProcessorFast"}""");
        Assert.Equal([0.48145466f, 0.4578275f, 0.40821073f], clip.Normalisation.Mean);
        Assert.Equal(new ImageSize(3, 224, 224), clip.Size);
        Assert.Equal([0.1f], Load("""{"image_mean": 0.1, "image_std": 1}""").Normalisation.Mean);
    }

    [Fact]
    public void Pictures_of_the_wrong_size_are_refused_where_the_config_lets_them_be()
    {
        var processor = Load("""{"do_resize": false}""", new(3, 4, 4));
        Assert.Contains("this one would be 4 x 5 where 4 x 4 is read", Assert.Throws<ArgumentException>(() => processor.Shape(Photo)).Message);
        Assert.Equal(Photo.Pixels, processor.Fit(Photo).Pixels);
    }

    [Theory]
    [InlineData("""{"do_something": true}""", "do_something: this field is not known")]
    [InlineData("""{"image_processor_type": "DonutImageProcessor"}""", "image_processor_type: \"DonutImageProcessor\" is not known")]
    [InlineData("""{"size": {"longest_edge": 5}}""", "size.longest_edge")]
    [InlineData("""{"size": {"height": 5}}""", "size.width: it is missing")]
    [InlineData("""{"size": 0}""", "size: it is 0")]
    [InlineData("""{"size": [3, 4]}""", "size: it is [3, 4]")]
    [InlineData("""{"size": {"height": 99999999, "width": 4}}""", "size.height: it is 99999999")]
    [InlineData("""{"resample": 9}""", "resample: it is 9")]
    [InlineData("""{"image_mean": [0.5, 0.5]}""", "image_mean: it has 2 numbers")]
    [InlineData("""{"image_std": [0.5, 0, 0.5]}""", "channel 1 has the mean 0.5 and the deviation 0")]
    [InlineData("""{"image_mean": "half"}""", "image_mean: it is \"half\"")]
    [InlineData("""{"rescale_factor": 0}""", "the rescale factor is 0")]
    [InlineData("""{"do_resize": 1}""", "do_resize: it is 1; true or false")]
    [InlineData("""{"do_center_crop": true}""", "crop_size: it is missing")]
    [InlineData("""{"image_processor_type": "ConvNextImageProcessor", "size": {"height": 4, "width": 4}}""", "size: ConvNeXt's processor")]
    [InlineData("""[]""", "no JSON object")]
    [InlineData("""{"size": """, "cannot be read as JSON")]
    public void What_is_not_understood_is_refused_by_name(string json, string message)
    {
        var said = Assert.Throws<InvalidDataException>(() => Load(json)).Message;
        Assert.StartsWith(Path.Combine(_folder, "preprocessor_config.json"), said);
        Assert.Contains(message, said);
    }

    [Theory]
    [InlineData("""{"input_size": [1, 4, 4]}""", "pretrained_cfg.input_size: [1, 4, 4]")]
    [InlineData("""{"interpolation": "random"}""", "pretrained_cfg.interpolation: \"random\"")]
    [InlineData("""{"crop_mode": "fancy"}""", "pretrained_cfg.crop_mode: \"fancy\"")]
    [InlineData("""{"crop_pct": 0}""", "pretrained_cfg.crop_pct: it is 0")]
    [InlineData("""{"mean": [0.5, 0.5]}""", "pretrained_cfg.mean: it has 2 numbers")]
    [InlineData("""{"std": [0.5, 0.5, 0]}""", "channel 2 has the mean")]
    public void What_is_not_understood_of_timm_is_refused_by_name(string json, string message)
    {
        var said = Assert.Throws<InvalidDataException>(() => Load($$"""{"architecture": "vit", "pretrained_cfg": {{json}}}""", file: "config.json")).Message;
        Assert.Contains(message, said);
    }

    [Fact]
    public void Sizes_follow_the_shortest_edge_and_are_cut_off()
    {
        var processor = Load("""{"image_processor_type": "CLIPImageProcessor", "do_center_crop": false, "size": {"shortest_edge": 7}}""");
        Assert.Equal((7, 8), (processor.Fit(Photo).Height, processor.Fit(Photo).Width));               // 7 · 5 / 4 = 8.75
        var tall = processor.Fit(new Picture(4, 5, 3, Photo.Pixels));
        Assert.Equal((8, 7), (tall.Height, tall.Width));
    }
}
